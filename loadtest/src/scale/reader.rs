//! One scrape, timed. The page is read as fast as it comes, and dropped.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::response::ResponseReader;
use crate::target::Target;

/// How long the gateway may send nothing.
const STALL: Duration = Duration::from_secs(60);

/// What a scrape took.
#[derive(Clone, Copy, Debug)]
pub struct Scrape {
    /// From the request to the first byte of the body.
    pub first_byte: Duration,
    /// From the request to the page's end.
    pub whole: Duration,
    /// Bytes of the page, as sent.
    pub bytes: u64,
}

/// Reads the page, in a coding: `identity` or `gzip`.
pub fn scrape(target: &Target, coding: &str) -> std::io::Result<Scrape> {
    let mut stream = TcpStream::connect(target.address)?;
    stream.set_read_timeout(Some(STALL))?;
    let begin = Instant::now();
    let head = format!("Host: {}\r\nAccept: text/plain;version=0.0.4\r\nAccept-Encoding: {coding}", target.host);
    stream.write_all(format!("GET /metrics HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())?;
    let (mut response, mut first_byte) = (ResponseReader::new(0), None);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        let is_over = read > 0 && response.feed(&buffer[..read]).map_err(Error::other)?;
        if response.body_bytes() > 0 {
            first_byte.get_or_insert_with(|| begin.elapsed());
        }
        match first_byte {
            Some(first_byte) if is_over && response.status() == 200 => {
                return Ok(Scrape { first_byte, whole: begin.elapsed(), bytes: response.body_bytes() });
            }
            _ if is_over => return Err(Error::other(format!("expected a page, got status {}", response.status()))),
            _ if read == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(response: &'static [u8]) -> std::io::Result<Scrape> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::local(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let read = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(response).unwrap();
            read
        });
        let outcome = scrape(&target, "gzip");
        assert!(server.join().unwrap() > 0);
        outcome
    }

    #[test]
    fn a_page_is_counted_without_its_frame() {
        let page = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n4\r\nb 2\n\r\n0\r\n\r\n";
        let scrape = answered(page).unwrap();
        assert_eq!(scrape.bytes, 8);
        assert!(scrape.first_byte <= scrape.whole);
    }

    #[test]
    fn what_is_no_page_is_a_fault() {
        let cases: [(&[u8], &str); 3] = [
            (b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", "expected a page, got status 503"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "unexpected end of file"),
            (b"SSH-2.0\r\n\r\n", "expected an HTTP/1 status line, got \"SSH-2.0\""),
        ];
        for (response, said) in cases {
            assert_eq!(answered(response).unwrap_err().to_string(), said);
        }
    }
}
