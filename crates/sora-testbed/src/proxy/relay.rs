//! The connections of a proxy.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fault::{Direction, FaultAction, Faults, Step};

const BUFFER_BYTES: usize = 64 * 1024;

/// How a connection ends, both sides at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// Takes connections until it is stopped, and then resets all.
pub(super) async fn serve(
    listener: TcpListener,
    server: SocketAddr,
    faults: &Arc<Faults>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            // Those that have ended are forgotten.
            Some(_) = connections.join_next() => {}
            Ok((client, _)) = listener.accept() => {
                let (refused, resets) = faults.connect();
                if refused {
                    let _ = client.set_zero_linger();
                    continue;
                }
                let faults = faults.clone();
                connections.spawn(async move { connect(client, server, &faults, resets).await });
            }
        }
    }
}

async fn connect(mut client: TcpStream, server: SocketAddr, faults: &Faults, resets: usize) {
    // What ends in any other way than by being told to, such as by the end of the proxy, is reset.
    let _ = client.set_zero_linger();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = server.set_zero_linger();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            let asks = relay(from_client, to_server, Direction::ToServer, faults);
            let answers = relay(from_server, to_client, Direction::ToClient, faults);
            match tokio::try_join!(asks, answers) {
                Ok(_) => End::Close,
                Err(end) => end,
            }
        };
        tokio::select! {
            end = both => end,
            () = faults.wait_reset(resets) => End::Reset,
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
    faults: &Faults,
) -> Result<(), End> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        // A side that broke takes the other along, in the same way.
        let length = from.read(&mut buffer).await.map_err(|_| End::Reset)?;
        if let Some(delay) = faults.wait_open(direction).await {
            tokio::time::sleep(delay).await;
        }
        if length == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
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
                    // What else comes is read and lost, so that the other side is not held up.
                    while matches!(from.read(&mut buffer).await, Ok(1..)) {}
                    return Ok(());
                }
            }
        }
    }
}
