//! What is learned of a server right after the log-in, in one round trip.

use std::net::SocketAddr;

use sora_core::{Error, ErrorKind};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::Purpose;
use crate::config::TargetSession;

/// What the server says without being asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Since PostgreSQL 14, and not through every pooler.
    in_recovery: Option<bool>,
    is_read_only: Option<bool>,
    /// Of the database.
    encoding: Option<Box<str>>,
}

/// What the server is asked.
pub(super) struct Question {
    /// This side's address and the other's.
    pub(super) addresses: Option<(SocketAddr, SocketAddr)>,
    pub(super) process: Option<i32>,
    pub(super) target: TargetSession,
    pub(super) purpose: Purpose,
    pub(super) timeout_ms: u32,
}

/// What the target is called in an error.
pub(super) fn wanted(target: TargetSession) -> &'static str {
    match target {
        TargetSession::Any => "any",
        TargetSession::ReadWrite => "read-write",
        TargetSession::ReadOnly => "read-only",
        TargetSession::Primary => "a primary",
        TargetSession::Standby | TargetSession::PreferStandby => "a standby",
    }
}

impl Told {
    pub(super) fn new<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Self {
        let flag = |name| parameter(name).map(|value| value == "on");
        let in_recovery = flag("in_hot_standby");
        let is_read_only = flag("default_transaction_read_only");
        Self {
            in_recovery,
            is_read_only: in_recovery.zip(is_read_only).map(|(standby, set)| standby || set),
            encoding: parameter("server_encoding").map(Into::into),
        }
    }

    /// Refuses a database whose text is not UTF-8: bytes in another encoding are in another order,
    /// and one of its characters may be no character of the others.
    pub(super) fn check_encoding(&self) -> Result<(), Error> {
        let Some(encoding) = self.encoding.as_deref().filter(|encoding| *encoding != "UTF8") else {
            return Ok(());
        };
        let message = format!(
            "the encoding of the database is {encoding}, and Sora compares text by its bytes in \
             UTF-8; make a database WITH ENCODING 'UTF8' and move the tables there by pg_dump"
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Whether the server will do, as far as it said.
    fn suits(&self, target: TargetSession) -> Option<bool> {
        match target {
            TargetSession::Any => Some(true),
            TargetSession::ReadWrite => self.is_read_only.map(|read_only| !read_only),
            TargetSession::ReadOnly => self.is_read_only,
            TargetSession::Primary => self.in_recovery.map(|recovery| !recovery),
            TargetSession::Standby | TargetSession::PreferStandby => self.in_recovery,
        }
    }
}

impl Question {
    /// Asks, and sets on a direct connection what holds for its whole life. Through a pooler nothing
    /// is set: it would stay on a session of the server that others use. Returns whether nothing
    /// stands between, and whether the server will do.
    pub(super) async fn ask(
        &self,
        client: &Client,
        told: &Told,
    ) -> Result<(bool, bool), tokio_postgres::Error> {
        let suits = told.suits(self.target);
        let mut is_direct = false;
        let mut answer = None;
        match row_of(client, &self.sql(suits.is_none())).await {
            Ok(row) => {
                is_direct = row.as_ref().and_then(|row| row.get(0)) == Some("t");
                answer = row.and_then(|row| row.try_get(1).ok().flatten().map(str::to_owned));
            }
            // An engine that only speaks the protocol lacks a function: nothing is proved then.
            Err(error) if is_unknown_to_engine(&error) => {
                if suits.is_none() {
                    let row = row_of(client, self.target_sql()).await?;
                    answer = row.and_then(|row| row.get(0).map(str::to_owned));
                }
            }
            Err(error) => return Err(error),
        }
        let will_do = suits.unwrap_or_else(|| {
            let is_on = matches!(answer.as_deref(), Some("on" | "t" | "true"));
            match self.target {
                TargetSession::ReadWrite | TargetSession::Primary => !is_on,
                _ => is_on,
            }
        });
        Ok((is_direct, will_do))
    }

    fn sql(&self, asks_target: bool) -> String {
        let mut columns = String::from("direct");
        if asks_target {
            columns.push_str(", ");
            columns.push_str(match self.target {
                TargetSession::ReadWrite | TargetSession::ReadOnly => {
                    "pg_catalog.current_setting('transaction_read_only')"
                }
                _ => "pg_catalog.pg_is_in_recovery()",
            });
        }
        let mut set = |name: &str, value: &str| {
            // The second argument: a server that has no such setting is asked for none.
            columns.extend([
                &format!(", case when direct and pg_catalog.current_setting('{name}', true) is not null "),
                &format!("then pg_catalog.set_config('{name}', '{value}', false) end"),
            ].map(String::as_str));
        };
        if self.timeout_ms != 0 {
            set("statement_timeout", &self.timeout_ms.to_string());
        }
        if self.purpose == Purpose::Lookup {
            set("plan_cache_mode", "force_generic_plan");
        }
        format!("select {columns} from (select {} as direct) as seen", self.direct_sql())
    }

    /// The condition that holds only if nothing stands between.
    fn direct_sql(&self) -> String {
        let Some(process) = self.process else { return "false".into() };
        let addresses = match self.addresses {
            Some((near, far)) => format!(
                "inet_server_addr() = inet '{}' and inet_server_port() = {} \
                 and inet_client_addr() = inet '{}' and inet_client_port() = {}",
                far.ip().to_canonical(),
                far.port(),
                near.ip().to_canonical(),
                near.port(),
            ),
            None => "inet_server_addr() is null and inet_client_addr() is null".into(),
        };
        format!("coalesce(pg_backend_pid() = {process} and {addresses}, false)")
    }

    fn target_sql(&self) -> &'static str {
        match self.target {
            TargetSession::ReadWrite | TargetSession::ReadOnly => "show transaction_read_only",
            _ => "select pg_is_in_recovery()",
        }
    }
}

async fn row_of(
    client: &Client,
    sql: &str,
) -> Result<Option<SimpleQueryRow>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    Ok(messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    }))
}

fn is_unknown_to_engine(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|state| state.code().starts_with("42") || state.code().starts_with("0A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_may_spare_the_question() {
        let told = |pairs: &[(&'static str, &'static str)]| {
            Told::new(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
            })
        };
        let primary = [("in_hot_standby", "off"), ("default_transaction_read_only", "off")];
        let standby = [("in_hot_standby", "on"), ("default_transaction_read_only", "off")];
        let frozen = [("in_hot_standby", "off"), ("default_transaction_read_only", "on")];
        for (pairs, target, expected) in [
            (&primary[..], TargetSession::ReadWrite, Some(true)),
            (&primary[..], TargetSession::Standby, Some(false)),
            (&standby[..], TargetSession::ReadWrite, Some(false)),
            (&standby[..], TargetSession::Primary, Some(false)),
            (&standby[..], TargetSession::ReadOnly, Some(true)),
            (&frozen[..], TargetSession::ReadWrite, Some(false)),
            (&frozen[..], TargetSession::Primary, Some(true)),
            (&[][..], TargetSession::Primary, None),
            (&[][..], TargetSession::ReadWrite, None),
            (&[][..], TargetSession::Any, Some(true)),
        ] {
            assert_eq!(told(pairs).suits(target), expected, "{pairs:?} {target:?}");
        }
    }
}
