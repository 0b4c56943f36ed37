//! Responses of HTTP/1.1, read as they come: the status, whether the connection stays open, and the body by its length, in
//! chunks, or to the connection's end.

/// What is wrong with a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// No `HTTP/1.1 200`.
    #[error("expected an HTTP/1 status line, got {0:?}")]
    StatusLine(String),
    /// A head without end.
    #[error("expected a head of at most {MAX_HEAD} bytes, got more")]
    Head,
    /// A length that is no number.
    #[error("expected a content length, got {0:?}")]
    Length(String),
    /// A chunk whose size is no number, or that is longer than it says.
    #[error("expected a chunk's {0}, got other bytes")]
    Chunk(&'static str),
    /// Bytes that belong to no request.
    #[error("expected nothing behind the response, got {0} bytes")]
    Trailing(usize),
    /// A connection that ended in the middle.
    #[error("expected the rest of the response, got the connection's end")]
    Cut,
}

const MAX_HEAD: usize = 64 * 1024;

/// Where in a response the next byte stands.
#[derive(Debug)]
enum Stage {
    Head,
    Body { left: u64 },
    ToTheEnd,
    ChunkSize,
    Chunk { left: u64 },
    ChunkEnd,
    Trailer,
    Done,
}

/// Reads one response from pieces of any size.
#[derive(Debug)]
pub struct ResponseReader {
    stage: Stage,
    /// A line, or the head, that has not ended yet.
    pending: Vec<u8>,
    status: u16,
    keeps_open: bool,
    body: Vec<u8>,
    /// Bytes of the body that are kept; the rest is read and dropped.
    kept: usize,
    /// Bytes of the body that have come.
    body_bytes: u64,
}

impl ResponseReader {
    /// A reader that keeps so many bytes of the body.
    pub fn new(kept: usize) -> ResponseReader {
        let (pending, body) = (Vec::new(), Vec::new());
        ResponseReader { stage: Stage::Head, pending, status: 0, keeps_open: true, body, kept, body_bytes: 0 }
    }

    /// The status, once the head is there.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection may carry another request.
    pub fn keeps_open(&self) -> bool {
        self.keeps_open
    }

    /// What was kept of the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Bytes of the body that have come, whether they were kept or not.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Takes the next piece. True when the response is complete.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, ResponseFault> {
        while !bytes.is_empty() {
            if matches!(self.stage, Stage::Done) {
                return Err(ResponseFault::Trailing(bytes.len()));
            }
            let taken = self.take(bytes)?;
            bytes = &bytes[taken..];
        }
        Ok(matches!(self.stage, Stage::Done))
    }

    /// The connection has ended: that is the end of a body without a length, and a fault anywhere else.
    pub fn end(&mut self) -> Result<(), ResponseFault> {
        match self.stage {
            Stage::ToTheEnd => {
                self.stage = Stage::Done;
                Ok(())
            }
            _ => Err(ResponseFault::Cut),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, ResponseFault> {
        match self.stage {
            Stage::Body { left } => Ok(self.take_counted(bytes, left, |left| match left {
                0 => Stage::Done,
                left => Stage::Body { left },
            })),
            Stage::Chunk { left } => Ok(self.take_counted(bytes, left, |left| match left {
                0 => Stage::ChunkEnd,
                left => Stage::Chunk { left },
            })),
            Stage::ToTheEnd => {
                self.keep(bytes);
                Ok(bytes.len())
            }
            Stage::Head | Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailer | Stage::Done => self.take_line(bytes),
        }
    }

    fn take_counted(&mut self, bytes: &[u8], left: u64, next: impl Fn(u64) -> Stage) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.keep(&bytes[..taken]);
        self.stage = next(left - taken as u64);
        taken
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.body_bytes += bytes.len() as u64;
        let room = self.kept.saturating_sub(self.body.len()).min(bytes.len());
        self.body.extend_from_slice(&bytes[..room]);
    }

    /// Takes bytes to the end of a line, and acts on the line or head that they complete.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, ResponseFault> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |at| at + 1);
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() > MAX_HEAD {
            return Err(ResponseFault::Head);
        }
        if end.is_some() {
            self.end_line()?;
        }
        Ok(taken)
    }

    fn end_line(&mut self) -> Result<(), ResponseFault> {
        if matches!(self.stage, Stage::Head) {
            // An empty line ends the head; the first line cannot be it.
            if self.pending.ends_with(b"\n\r\n") || self.pending.ends_with(b"\n\n") {
                let head = std::mem::take(&mut self.pending);
                self.stage = self.read_head(&head)?;
                self.pending = head;
                self.pending.clear();
            }
            return Ok(());
        }
        let line = self.pending.trim_ascii();
        self.stage = match self.stage {
            Stage::ChunkSize => match chunk_size(line)? {
                0 => Stage::Trailer,
                left => Stage::Chunk { left },
            },
            Stage::ChunkEnd if line.is_empty() => Stage::ChunkSize,
            Stage::ChunkEnd => return Err(ResponseFault::Chunk("end")),
            _ if line.is_empty() => Stage::Done,
            _ => Stage::Trailer,
        };
        self.pending.clear();
        Ok(())
    }

    /// What comes behind a head.
    fn read_head(&mut self, head: &[u8]) -> Result<Stage, ResponseFault> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.next().unwrap_or_default();
        let (minor, status) = status_line(first)?;
        (self.status, self.keeps_open) = (status, minor == b'1');
        let (mut length, mut is_chunked) = (None, false);
        for (name, value) in lines.filter_map(header) {
            if name.eq_ignore_ascii_case(b"content-length") {
                length = Some(content_length(value)?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
            } else if name.eq_ignore_ascii_case(b"connection") {
                self.keeps_open = connection_stays(value, self.keeps_open);
            }
        }
        Ok(match (status, is_chunked, length) {
            (100..200, ..) => Stage::Head,
            (204 | 304, ..) | (_, false, Some(0)) => Stage::Done,
            (_, true, _) => Stage::ChunkSize,
            (_, false, Some(left)) => Stage::Body { left },
            (_, false, None) => {
                self.keeps_open = false;
                Stage::ToTheEnd
            }
        })
    }
}

fn status_line(line: &[u8]) -> Result<(u8, u16), ResponseFault> {
    let fault = || ResponseFault::StatusLine(String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned());
    let rest = line.strip_prefix(b"HTTP/1.").ok_or_else(fault)?;
    let [minor, b' ', status @ ..] = rest else { return Err(fault()) };
    let digits = std::str::from_utf8(status.get(..3).ok_or_else(fault)?).map_err(|_| fault())?;
    Ok((*minor, digits.parse().map_err(|_| fault())?))
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn content_length(value: &[u8]) -> Result<u64, ResponseFault> {
    let text = String::from_utf8_lossy(value);
    text.parse().map_err(|_| ResponseFault::Length(text.into_owned()))
}

fn connection_stays(value: &[u8], as_before: bool) -> bool {
    let value = value.to_ascii_lowercase();
    match value.as_slice() {
        b"close" => false,
        b"keep-alive" => true,
        _ => as_before,
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, ResponseFault> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| ResponseFault::Chunk("size"))?;
    u64::from_str_radix(text, 16).map_err(|_| ResponseFault::Chunk("size"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each response, its status, whether the connection stays, and its body.
    const RESPONSES: [(&str, u16, bool, &str); 10] = [
        ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\ndate: now\r\n\r\n", 202, true, ""),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwrong", 400, false, "wrong"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, false, "ok"),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, true, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, true, ""),
        ("HTTP/1.1 200 OK\nContent-Length:2\n\nok", 200, true, "ok"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, true, ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwith\r\nB;x=y\r\n some\r\nline\r\n0\r\n\r\n",
            200,
            true,
            "with some\r\nline",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n", 200, true, ""),
        ("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n!", 200, true, "!"),
    ];

    #[test]
    fn responses_in_one_piece_and_byte_by_byte() {
        for (response, status, keeps_open, body) in RESPONSES {
            for size in [response.len(), 1] {
                let mut reader = ResponseReader::new(usize::MAX);
                let pieces: Vec<&[u8]> = response.as_bytes().chunks(size).collect();
                let (last, before) = pieces.split_last().unwrap();
                assert!(before.iter().all(|piece| !reader.feed(piece).unwrap()), "{response:?}");
                assert!(reader.feed(last).unwrap(), "{response:?}");
                assert_eq!((reader.status(), reader.keeps_open()), (status, keeps_open), "{response:?}");
                assert_eq!(reader.body(), body.as_bytes());
            }
        }
    }

    #[test]
    fn a_body_without_length_goes_to_the_end() {
        let mut reader = ResponseReader::new(usize::MAX);
        assert!(!reader.feed(b"HTTP/1.1 200 OK\r\n\r\nall of it").unwrap());
        reader.end().unwrap();
        assert_eq!((reader.body(), reader.keeps_open()), (&b"all of it"[..], false));
    }

    #[test]
    fn faults_are_told() {
        let cases = [
            ("HTTP/2 200\r\n\r\n", r#"expected an HTTP/1 status line, got "HTTP/2 200""#),
            ("HTTP/1.1 2x0 OK\r\n\r\n", r#"expected an HTTP/1 status line, got "HTTP/1.1 2x0 OK""#),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", r#"expected a content length, got "-1""#),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n", "expected a chunk's size, got other bytes"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
                "expected a chunk's end, got other bytes",
            ),
            ("HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\nHTTP", "expected nothing behind the response, got 4 bytes"),
        ];
        for (response, expected) in cases {
            let said = ResponseReader::new(0).feed(response.as_bytes()).unwrap_err().to_string();
            assert_eq!(said, expected, "{response:?}");
        }
        assert_eq!(ResponseReader::new(0).feed(&[b'a'; MAX_HEAD + 1]), Err(ResponseFault::Head));
        let mut reader = ResponseReader::new(0);
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
        assert_eq!(reader.end(), Err(ResponseFault::Cut));
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut reader = ResponseReader::new(3);
        assert!(reader.feed(b"HTTP/1.1 400 Bad\r\nContent-Length: 5\r\n\r\nwrong").unwrap());
        assert_eq!((reader.body(), reader.body_bytes()), (&b"wro"[..], 5));
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_in_pieces_of_any_size(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            size in 1usize..30,
        ) {
            let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                response.extend(format!("{:x}\r\n", chunk.len()).bytes());
                response.extend(chunk);
                response.extend(b"\r\n");
            }
            response.extend(b"0\r\n\r\n");
            let mut reader = ResponseReader::new(usize::MAX);
            let complete = response.chunks(size).map(|piece| reader.feed(piece).unwrap()).filter(|done| *done).count();
            prop_assert_eq!(complete, 1);
            prop_assert_eq!(reader.body(), chunks.concat());
        }
    }
}
