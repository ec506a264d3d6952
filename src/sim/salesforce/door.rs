//! The listening socket, whose connections can be cut in the middle of an exchange.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long to wait before the next accept after one failed, as when no file handles are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections; all of them end when the token does.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) open: CancellationToken,
}

/// A handle on one connection: cancelling it closes the socket without another byte.
#[derive(Clone, Debug)]
pub(crate) struct Line(CancellationToken);

impl Line {
    /// Closes the connection.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    line: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    /// An error once the connection was cut; registers the task to be woken by that.
    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => return (self.wire(stream), from),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Door {
    fn wire(&self, stream: TcpStream) -> Wire {
        // Without this an answer of two segments waits for the other side's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let line = self.open.child_token();
        let cut = Box::pin(line.clone().cancelled_owned());
        Wire { stream, line, cut }
    }
}

impl Connected<IncomingStream<'_, Door>> for Line {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(stream.io().line.clone())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
