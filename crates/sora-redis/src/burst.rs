//! Commands that go to a server at once.

use redis::{Cmd, Value};
use sora_core::remote::Slot;

use crate::ask::{Answer, Ask, What};
use crate::fetches::Keys;
use crate::held::{Held, Run};
use crate::reply::Reply;
use crate::script::Script;

/// How commands are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    pub(crate) run: Run,
    /// Keys of one command must be of one slot.
    pub(crate) is_cluster: bool,
    /// How many names one command has at most.
    pub(crate) batch_max: usize,
    pub(crate) counter_time_to_live_ms: u64,
    /// The digest of each script that the server is known to have.
    pub(crate) digests: &'a [Option<String>; Script::ALL.len()],
}

/// Commands for names, and whose answers they are.
pub(crate) struct Burst {
    /// The commands, as they are sent.
    commands: Vec<u8>,
    takers: Vec<Taker>,
    /// The places of the asks, those of one command in line.
    order: Vec<usize>,
    run: Run,
}

/// Whose answer one reply is: of the asks from `from` to `to` in line.
#[derive(Clone, Copy)]
struct Taker {
    from: usize,
    to: usize,
    kind: Kind,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    /// Theirs only if it is an error.
    Error,
    /// That of all of them.
    All,
    /// One value for each.
    Each,
}

/// What goes in one command: names of one slot, of which the same is asked.
type Group = (usize, u16, Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fetch,
    Lease,
    Take,
    Fill,
    Release,
    Remove,
    Block,
    Count,
    Make,
    Bump,
}

impl Burst {
    /// Writes the commands for some names, and for keys to look up behind them. Equal ones are not joined.
    pub(crate) fn new(asks: &[&Ask], keys: &Keys, form: &Form<'_>) -> Self {
        let mut groups: Vec<(Group, usize)> =
            asks.iter().enumerate().map(|(at, ask)| (group(at, ask, form), at)).collect();
        groups.sort_unstable();
        let places = asks.len()..asks.len() + keys.len();
        let order = groups.iter().map(|(_, at)| *at).chain(places).collect();
        // A little more than keys take.
        let commands = Vec::with_capacity(keys.bytes_len() + 64);
        let takers = Vec::new();
        let mut burst = Self { commands, takers, order, run: form.run };
        let mut from = 0;
        for equal in groups.chunk_by(|one, other| one.0 == other.0) {
            // As few commands as it takes, of about one size.
            let commands = equal.len().div_ceil(form.batch_max);
            for part in equal.chunks(equal.len().div_ceil(commands)) {
                let part: Vec<&Ask> = part.iter().map(|(_, at)| asks[*at]).collect();
                burst.write(from, &part, form);
                from += part.len();
            }
        }
        burst.fetch(from, keys, form);
        burst
    }

    /// Looks keys up, the first of which is `from` in line: in as few commands as it takes, of about one
    /// size.
    fn fetch(&mut self, from: usize, keys: &Keys, form: &Form<'_>) {
        let commands = keys.len().div_ceil(form.batch_max).max(1);
        let size = keys.len().div_ceil(commands).max(1);
        for first in (0..keys.len()).step_by(size) {
            let last = keys.len().min(first + size);
            let (from, to) = (from + first, from + last);
            let shape = if to - from == 1 { Shape::All } else { Shape::Each };
            write_look_up(&mut self.commands, keys.written(first..last), to - from);
            self.takers.push(Taker { from, to, kind: Kind::Fetch, shape });
        }
    }

    /// The commands, behind another one if there is one, and how many there are.
    pub(crate) fn take_commands(&mut self, first: Option<&Cmd>) -> (Vec<u8>, usize) {
        let mut commands = std::mem::take(&mut self.commands);
        if let Some(first) = first {
            let mut all = first.get_packed_command();
            all.append(&mut commands);
            commands = all;
        }
        (commands, self.takers.len() + usize::from(first.is_some()))
    }

    /// Says of each ask what was answered.
    pub(crate) fn answers(&self, replies: Vec<Reply>) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(self.order.len(), || None);
        for (taker, reply) in self.takers.iter().zip(replies) {
            let places = &self.order[taker.from..taker.to];
            let mut put = |at: usize, answer| {
                answers[at].get_or_insert(answer);
            };
            // Most are these; their bytes are not copied.
            if taker.kind == Kind::Fetch
                && let Some(texts) = reply.texts(places.len())
            {
                let run = self.run;
                let answer = |text: Option<_>| match text {
                    Some(text) => Answer::Text(run, text),
                    None => Answer::Slot(Slot::Empty),
                };
                places.iter().zip(texts).for_each(|(at, text)| put(*at, answer(text)));
                continue;
            }
            let mut put = |at: usize, value| put(at, self.answer(taker.kind, value));
            let Some(value) = reply.into_value() else { continue };
            match (taker.shape, value) {
                (_, Value::ServerError(error)) => {
                    for at in places {
                        put(*at, Value::ServerError(error.clone()));
                    }
                }
                (Shape::Error, _) => {}
                (Shape::All, reply) => {
                    if let [at] = places {
                        put(*at, reply);
                    } else {
                        for at in places {
                            put(*at, Value::Okay);
                        }
                    }
                }
                (Shape::Each, reply) => {
                    if let Value::Array(values) = reply {
                        places.iter().zip(values).for_each(|(at, value)| put(*at, value));
                    }
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Answer::Odd)).collect()
    }

    fn answer(&self, kind: Kind, value: Value) -> Answer {
        match (kind, value) {
            // A list, say, that somebody made: there is no value.
            (Kind::Fetch | Kind::Lease, Value::ServerError(error))
                if error.code() == "WRONGTYPE" =>
            {
                Answer::Slot(Slot::Empty)
            }
            (_, Value::ServerError(error)) => Answer::Failed(error),
            (Kind::Fetch | Kind::Lease | Kind::Take, Value::Nil) => Answer::Slot(Slot::Empty),
            (Kind::Fetch | Kind::Lease | Kind::Take, Value::BulkString(held)) => {
                match self.run.read(&held) {
                    Held::Slot(slot) => Answer::Slot(slot),
                    Held::Stale => Answer::Stale,
                }
            }
            (Kind::Count | Kind::Make | Kind::Bump, Value::BulkString(held)) => {
                Answer::Counter(self.run.counter(&held))
            }
            (Kind::Count, Value::Nil) => Answer::Counter(None),
            (Kind::Fill, Value::Int(filled)) => Answer::Filled(filled == 1),
            (Kind::Release | Kind::Remove | Kind::Block, _) => Answer::Done,
            _ => Answer::Odd,
        }
    }

    /// Writes the commands for asks of one group, the first of which is `from` in line.
    fn write(&mut self, from: usize, asks: &[&Ask], form: &Form<'_>) {
        let kind = kind(&asks[0].what);
        let all = Taker { from, to: from + asks.len(), kind, shape: Shape::All };
        if asks[0].is_asking {
            self.add(&redis::cmd("ASKING"), Taker { shape: Shape::Error, ..all });
        }
        match kind {
            Kind::Fetch | Kind::Count => self.read(asks, all),
            Kind::Lease => {
                for (at, ask) in (from..).zip(asks) {
                    let mut command = set(ask, form);
                    command.arg("NX");
                    self.add(&command, Taker { from: at, to: at + 1, kind, shape: Shape::Error });
                }
                if asks[0].is_asking {
                    self.add(&redis::cmd("ASKING"), Taker { shape: Shape::Error, ..all });
                }
                self.read(asks, all);
            }
            Kind::Block => {
                for (at, ask) in (from..).zip(asks) {
                    let command = set(ask, form);
                    self.add(&command, Taker { from: at, to: at + 1, ..all });
                }
            }
            Kind::Fill => self.call(Script::Fill, asks, all, form),
            Kind::Release => self.call(Script::Release, asks, all, form),
            Kind::Remove => self.call(Script::Remove, asks, all, form),
            Kind::Take => self.call(Script::Take, asks, all, form),
            Kind::Make | Kind::Bump => self.call(Script::Count, asks, all, form),
        }
    }

    fn read(&mut self, asks: &[&Ask], all: Taker) {
        let mut command = redis::cmd(if asks.len() == 1 { "GET" } else { "MGET" });
        write_keys(&mut command, asks);
        let shape = if asks.len() == 1 { Shape::All } else { Shape::Each };
        self.add(&command, Taker { shape, ..all });
    }

    fn call(&mut self, script: Script, asks: &[&Ask], all: Taker, form: &Form<'_>) {
        let mut command = match &form.digests[script as usize] {
            Some(digest) => {
                let mut command = redis::cmd("EVALSHA");
                command.arg(&**digest);
                command
            }
            None => {
                let mut command = redis::cmd("EVAL");
                command.arg(script.text());
                command
            }
        };
        command.arg(asks.len());
        write_keys(&mut command, asks);
        match all.kind {
            Kind::Take => _ = command.arg(form.run.digits()),
            Kind::Make | Kind::Bump => {
                let all = u8::from(all.kind == Kind::Bump);
                command.arg(form.run.digits()).arg(form.counter_time_to_live_ms).arg(all);
            }
            _ => {}
        }
        for ask in asks {
            match &ask.what {
                What::Fill { token, value, time_to_live_ms } => {
                    command.arg(form.run.lease(*token)).arg(form.run.value(value));
                    command.arg((*time_to_live_ms).max(1));
                }
                What::Release { token } => _ = command.arg(form.run.lease(*token)),
                What::Take { token, time_ms } => {
                    command.arg(form.run.lease(*token)).arg((*time_ms).max(1));
                }
                _ => {}
            }
        }
        let shape = match all.kind {
            Kind::Release | Kind::Remove => Shape::All,
            _ => Shape::Each,
        };
        self.add(&command, Taker { shape, ..all });
    }

    fn add(&mut self, command: &Cmd, taker: Taker) {
        command.write_packed_command(&mut self.commands);
        self.takers.push(taker);
    }
}

/// `GET` of one key, or `MGET` of many that are written already.
fn write_look_up(commands: &mut Vec<u8>, keys: &[u8], count: usize) {
    let name = if count == 1 { "$3\r\nGET\r\n" } else { "$4\r\nMGET\r\n" };
    commands.extend_from_slice(b"*");
    commands.extend_from_slice((count + 1).to_string().as_bytes());
    commands.extend_from_slice(b"\r\n");
    commands.extend_from_slice(name.as_bytes());
    commands.extend_from_slice(keys);
}

/// `SET key what PX milliseconds`.
fn set(ask: &Ask, form: &Form<'_>) -> Cmd {
    let (held, time_ms) = match ask.what {
        What::Lease { token, time_ms } => (form.run.lease(token), time_ms),
        What::Block { time_ms } => (form.run.block(), time_ms),
        _ => (Vec::new(), 1),
    };
    let mut command = redis::cmd("SET");
    write_keys(&mut command, &[ask]);
    command.arg(&*held).arg("PX").arg(time_ms.max(1));
    command
}

fn write_keys(command: &mut Cmd, asks: &[&Ask]) {
    for ask in asks {
        command.arg(ask.key.bytes());
    }
}

fn group(at: usize, ask: &Ask, form: &Form<'_>) -> Group {
    // One that goes alone is a group of its own.
    let alone = if ask.is_alone { at + 1 } else { 0 };
    let slot = if form.is_cluster { ask.key.slot() } else { 0 };
    (alone, slot, kind(&ask.what))
}

fn kind(what: &What) -> Kind {
    match what {
        What::Fetch => Kind::Fetch,
        What::Lease { .. } => Kind::Lease,
        What::Take { .. } => Kind::Take,
        What::Fill { .. } => Kind::Fill,
        What::Release { .. } => Kind::Release,
        What::Remove => Kind::Remove,
        What::Block { .. } => Kind::Block,
        What::Count => Kind::Count,
        What::Make => Kind::Make,
        What::Bump => Kind::Bump,
    }
}
