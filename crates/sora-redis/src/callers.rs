//! Who waits for a round trip, and what for.

use sora_core::{Error, Result};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ask::{Answer, Answered, Ask};
use crate::fetches::{Fetches, Keys};
use crate::few::Few;
use crate::lanes::{Call, Part};

/// All that wait for one round trip.
pub(crate) struct Callers {
    calls: Vec<Option<Caller>>,
    fetches: Vec<Fetches>,
}

/// What is asked in one round trip: names of calls, and behind them the keys of look-ups.
#[derive(Default)]
pub(crate) struct Questions {
    asks: Vec<Few<Ask>>,
    pub(crate) keys: Keys,
}

/// Who waits for an answer, and until when.
type Caller = (Instant, oneshot::Sender<Result<Answered>>);

impl Callers {
    /// Parts what goes together into who waits and what is asked.
    ///
    /// Whoever left needs no answer; what was to be done is done all the same.
    pub(crate) fn of(parts: Vec<Part>) -> (Self, Questions) {
        let mut callers = Self { calls: Vec::new(), fetches: Vec::new() };
        let mut questions = Questions::default();
        for part in parts {
            match part {
                Part::Call(Call { asks, deadline, answer }) => {
                    if !answer.is_closed() || asks.as_slice().iter().any(Ask::changes) {
                        callers.calls.push(Some((deadline, answer)));
                        questions.asks.push(asks);
                    }
                }
                Part::Fetches(fetches) => {
                    fetches.send(&mut questions.keys);
                    callers.fetches.push(fetches);
                }
            }
        }
        (callers, questions)
    }

    /// The first deadline of those that still wait.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // Calls came in the order of their deadlines.
        let call = self.calls.iter().flatten().map(|(deadline, _)| *deadline).next();
        self.fetches.iter().filter_map(Fetches::deadline).chain(call).min()
    }

    /// Fails those whose time is over.
    pub(crate) fn expire(&mut self, now: Instant, error: &Error) {
        for caller in &mut self.calls {
            if let Some((_, sender)) = caller.take_if(|(deadline, _)| *deadline <= now) {
                let _ = sender.send(Err(error.clone()));
            }
        }
        self.fetches.iter().for_each(|fetches| fetches.expire(now, error));
    }

    /// Fails all.
    pub(crate) fn fail(self, error: &Error) {
        for (_, sender) in self.calls.into_iter().flatten() {
            let _ = sender.send(Err(error.clone()));
        }
        self.fetches.iter().for_each(|fetches| fetches.fail(error));
    }

    /// Hands out the answers, which are in the order of the questions.
    pub(crate) fn answer(self, questions: Questions, answers: Vec<Answer>) {
        let mut answers = answers.into_iter();
        for (asks, caller) in questions.asks.into_iter().zip(self.calls) {
            let answers = match &asks {
                Few::One(_) => Few::One(answers.next().unwrap_or(Answer::Odd)),
                Few::Many(asks) => Few::Many(answers.by_ref().take(asks.len()).collect()),
            };
            if let Some((_, sender)) = caller {
                let _ = sender.send(Ok(Answered { asks, answers }));
            }
        }
        for fetches in &self.fetches {
            fetches.answer(answers.by_ref().take(fetches.sent()));
        }
    }
}

impl Questions {
    pub(crate) fn asks(&self) -> Vec<&Ask> {
        self.asks.iter().flat_map(Few::as_slice).collect()
    }
}
