//! Stopping what a connection runs, on the server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, NoTls};

use crate::socket::Address;

/// What stops the statement that a connection runs.
///
/// It stops whatever runs there when the server gets to it, so it is only for a connection that is
/// nobody else's.
#[derive(Clone, Debug)]
pub(crate) struct Canceller {
    pub(crate) address: Address,
    /// If the connection itself may speak TLS.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// If not, a server without TLS is asked in plain text, as the connection itself was made.
    pub(crate) needs_tls: bool,
    pub(crate) key: CancelKey,
}

/// The whole request of a cancellation: its length, its code, the process and its secret.
#[derive(Clone)]
pub(crate) struct CancelKey([u8; CANCEL_BYTES]);

const CANCEL_BYTES: usize = 16;
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The server takes 0.2 ms; a host that is gone must not hold the caller.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

impl Canceller {
    /// Stops the statement. When it returns, the server has sent the signal: a statement that begins
    /// afterwards is safe as soon as one round trip has passed. One connection, one round trip.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        timeout(CANCEL_TIMEOUT, self.send()).await?
    }

    async fn send(&self) -> io::Result<()> {
        let mut socket = self.address.connect().await?;
        let Some((config, name)) = &self.tls else { return self.hand_over(socket).await };
        socket.write_all(&TLS_REQUEST).await?;
        match socket.read_u8().await? {
            b'S' => {}
            _ if !self.needs_tls => return self.hand_over(socket).await,
            _ => return Err(io::Error::other("the server speaks no TLS any more")),
        }
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        self.hand_over(connector.connect(name.clone(), socket).await?).await
    }

    async fn hand_over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        stream.write_all(&self.key.0).await?;
        stream.flush().await?;
        // The server closes after it has sent the signal, and says nothing else. How it closes is
        // of no matter.
        let _ = stream.read_u8().await;
        Ok(())
    }
}

impl CancelKey {
    /// Returns the key of a connection, or nothing if it cannot be told.
    ///
    /// The client keeps it to itself but writes it to any stream: here to one in memory.
    pub(crate) async fn of(token: &CancelToken, is_tls: bool) -> Option<Self> {
        let (near, mut far) = tokio::io::duplex(64);
        let mut skipped = [0; TLS_REQUEST.len()];
        if is_tls {
            far.write_all(b"S").await.ok()?;
            token.cancel_query_raw(near, PassThrough).await.ok()?;
            far.read_exact(&mut skipped).await.ok()?;
        } else {
            token.cancel_query_raw(near, NoTls).await.ok()?;
        }
        let mut request = [0; CANCEL_BYTES];
        far.read_exact(&mut request).await.ok()?;
        Some(Self(request))
    }

    /// The process of the server, as it said at the start.
    pub(crate) fn process(&self) -> i32 {
        let [.., a, b, c, d, _, _, _, _] = self.0;
        i32::from_be_bytes([a, b, c, d])
    }
}

impl std::fmt::Debug for CancelKey {
    /// Whoever has the secret can stop statements.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey(process {})", self.process())
    }
}

/// What stands where TLS would.
struct PassThrough;

/// A stream in the place of one over TLS.
struct Plain<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for PassThrough {
    type Stream = Plain<S>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Plain<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(Plain(stream)))
    }
}

mod plain {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{ChannelBinding, Plain, TlsStream};

    impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Plain<S> {
        fn channel_binding(&self) -> ChannelBinding {
            ChannelBinding::none()
        }
    }

    impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
}
