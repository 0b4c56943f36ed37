//! Clients that no library would be: they write any bytes, stop in the middle, and read slowly or never.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::PATIENCE;

/// A connection on which nothing waits for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream
}

/// Writes the bytes and reads the answer until the server closes. A server that answers early may not take all bytes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // What the server says counts, not how much it heard.
    let _ = stream.write_all(bytes);
    read_to_close(&mut stream)
}

/// Reads until the server closes the connection. A reset is a close too; silence is not.
#[track_caller]
pub fn read_to_close(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error} after {answer:?}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The head of a push to `path` with these header lines.
pub fn push_head(path: &str, headers: &[&str]) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// A whole push, its length declared.
pub fn push_request(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = push_head(path, &[&format!("Content-Length: {}", body.len())]).into_bytes();
    request.extend_from_slice(body);
    request
}

/// The same push in chunks of `size` bytes.
pub fn chunked_push_request(path: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut request = push_head(path, &["Transfer-Encoding: chunked"]).into_bytes();
    for chunk in body.chunks(size) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// A GET after whose answer the server closes.
pub fn get_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Status, header lines and body of an answer, as far as it came.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("expected an answer, got {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (line_name, value) = line.split_once(':')?;
            line_name.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A listener whose connections buffer little of what the server writes, so that a reader that stops is soon felt.
pub fn listener_with_small_buffers() -> TcpListener {
    const BACKLOG: u32 = 1024;
    // With less than a few loopback segments every write would wait for a delayed acknowledgement.
    const SEND_BUFFER: u32 = 256 * 1024;
    in_tokio(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        socket.listen(BACKLOG)?.into_std()
    })
}

/// A reader with a small buffer that has asked for `path` and reads nothing yet.
pub fn slow_reader(address: SocketAddr, path: &str) -> TcpStream {
    const RECEIVE_BUFFER: u32 = 16 * 1024;
    let mut stream = in_tokio(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.connect(address).await?.into_std()
    });
    stream.set_nonblocking(false).expect("a blocking socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream.write_all(&get_request(path)).expect("a short request");
    stream
}

fn in_tokio<T>(socket: impl Future<Output = std::io::Result<T>>) -> T {
    actix_rt::System::new().block_on(socket).expect("a socket")
}
