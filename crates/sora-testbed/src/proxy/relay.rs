//! The connections of a proxy.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answers;
use super::fault::{Connection, Direction, FaultAction, Faults, Step};
use super::wire::Wire;

pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// How a connection ends, both sides at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// What became of data that was to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    All,
    /// It was ended within; nothing may follow.
    HalfClosed,
}

/// Takes connections until it is stopped, and then resets all.
pub(super) async fn serve(
    listener: TcpListener,
    faults: &Arc<Faults>,
    wire: Option<&Arc<Wire>>,
    mut stopped: watch::Receiver<bool>,
) {
    let wire = wire.cloned();
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            // Those that have ended are forgotten.
            Some(_) = connections.join_next() => {}
            Ok((client, _)) = listener.accept() => {
                let Some(connection) = faults.connect() else {
                    let _ = client.set_zero_linger();
                    continue;
                };
                // Numbered as they come.
                let wire = wire.clone().map(|wire| (wire.connect(), wire));
                let faults = faults.clone();
                connections.spawn(async move {
                    let wire = wire.as_ref().map(|(number, wire)| (&**wire, *number));
                    connect(client, connection, &faults, wire).await;
                });
            }
        }
    }
}

async fn connect(
    mut client: TcpStream,
    connection: Connection,
    faults: &Faults,
    wire: Option<(&Wire, usize)>,
) {
    // What ends in any other way than by being told to, such as by the end of the proxy, is reset.
    let _ = client.set_zero_linger();
    let Ok(mut server) = TcpStream::connect(connection.server).await else { return };
    let _ = server.set_zero_linger();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            let asks = relay(from_client, to_server, Direction::ToServer, connection, faults, wire);
            let answers = async {
                let to = Direction::ToClient;
                match wire {
                    Some((wire, number)) => {
                        let ends = (from_server, to_client);
                        answers::relay(ends, connection, faults, wire, number).await
                    }
                    None => relay(from_server, to_client, to, connection, faults, None).await,
                }
            };
            match tokio::try_join!(asks, answers) {
                Ok(_) => End::Close,
                Err(end) => end,
            }
        };
        tokio::select! {
            end = both => end,
            () = faults.wait_reset(connection) => End::Reset,
        }
    };
    if end == End::Close {
        for mut side in [client, server] {
            // Takes back that its end is a reset.
            let _ = set_socket_linger(&side, None);
            let _ = side.shutdown().await;
        }
    }
}

/// Passes data on in one direction until its end; an error ends both.
async fn relay(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    connection: Connection,
    faults: &Faults,
    wire: Option<(&Wire, usize)>,
) -> Result<(), End> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await;
        if let Some(delay) = faults.wait_open(direction).await {
            tokio::time::sleep(delay).await;
        }
        let Ok(length @ 1..) = read else {
            return end(read, &mut to, direction, connection, faults).await;
        };
        if let Some((wire, number)) = wire {
            wire.asked(number);
        }
        let passed = pass(&buffer[..length], &mut to, direction, connection, faults).await?;
        if passed == Passed::HalfClosed {
            drain(from, &mut buffer).await;
            return Ok(());
        }
    }
}

/// Passes on what has come, with the harm that is to be done to it.
pub(super) async fn pass(
    mut rest: &[u8],
    to: &mut WriteHalf<'_>,
    direction: Direction,
    connection: Connection,
    faults: &Faults,
) -> Result<Passed, End> {
    while !rest.is_empty() && !faults.is_lost(direction, connection) {
        match faults.step(direction, rest.len()) {
            Step::Pass(pass) => {
                to.write_all(&rest[..pass]).await.map_err(|_| End::Reset)?;
                rest = &rest[pass..];
            }
            Step::Do(FaultAction::Close, _) => return Err(End::Close),
            Step::Do(FaultAction::Reset, _) => return Err(End::Reset),
            Step::Do(FaultAction::Delay(by), _) => tokio::time::sleep(by).await,
            Step::Do(FaultAction::Stall, clears) => faults.wait_cleared(clears).await,
            Step::Do(FaultAction::HalfClose, _) => {
                let _ = to.shutdown().await;
                return Ok(Passed::HalfClosed);
            }
        }
    }
    Ok(Passed::All)
}

/// Tells the other side that this one has ended; one that broke takes the other along.
pub(super) async fn end(
    read: io::Result<usize>,
    to: &mut WriteHalf<'_>,
    direction: Direction,
    connection: Connection,
    faults: &Faults,
) -> Result<(), End> {
    faults.wait_told(direction, connection).await;
    read.map_err(|_| End::Reset)?;
    let _ = to.shutdown().await;
    Ok(())
}

/// Reads and loses what else comes, so that the other side is not held up.
pub(super) async fn drain(mut from: ReadHalf<'_>, buffer: &mut [u8]) {
    while matches!(from.read(buffer).await, Ok(1..)) {}
}
