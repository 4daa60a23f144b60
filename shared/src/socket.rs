//! How the listeners' connections are set up.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A peer that was silent for so long is asked whether it is still there, a few times: one that is gone without a word (a
/// machine that lost its power or its network) would stay for ever.
const ALIVE_AFTER: Duration = Duration::from_secs(30);
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_ASKED: u32 = 3;

/// Bytes that the kernel holds for a peer and has not sent yet. With all of the buffer that it would take (megabytes), a
/// third of that has to be free before it tells of any progress, and a peer that reads slowly but steadily looks as if
/// it stood still.
const UNSENT_MAX: u32 = 32 << 10;

/// # Errors
/// The system does not take it.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small messages must not wait for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(ALIVE_ASKED))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket},
    };

    use super::*;
    use crate::write_deadline::WriteDeadline;

    const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_found_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), ALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), ALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), ALIVE_ASKED);
    }

    /// Takes far more in the time limit than nothing, and far less than a third of the kernel's buffer.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_and_steadily_does_not_stand_still() {
        const ALL: usize = 12 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        let mut client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        let mut stream = WriteDeadline::new(stream, WRITE_TIMEOUT);
        let reading = async {
            let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
            while read < ALL {
                tokio::time::sleep(WRITE_TIMEOUT / 6).await;
                let taken = client.read(&mut buffer).await.unwrap();
                assert!(taken > 0, "it was given up");
                read += taken;
            }
        };
        let all = vec![b'x'; ALL];
        let (written, ()) = tokio::join!(stream.write_all(&all), reading);
        written.unwrap();
    }
}
