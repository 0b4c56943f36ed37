use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;
use crate::shard::gate::Budget;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Snappy, Coding::Zstd];

fn compressed(coding: Coding, plain: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Identity => plain.to_vec(),
        Coding::Gzip => written(GzEncoder::new(Vec::new(), Compression::new(6)), plain).finish().expect("memory"),
        Coding::Deflate => written(ZlibEncoder::new(Vec::new(), Compression::new(6)), plain).finish().expect("memory"),
        Coding::Snappy => written(snap::write::FrameEncoder::new(Vec::new()), plain).into_inner().expect("memory"),
        Coding::Zstd => zstd::stream::encode_all(plain, 3).expect("memory"),
    }
}

fn written<W: Write>(mut writer: W, plain: &[u8]) -> W {
    writer.write_all(plain).expect("memory");
    writer
}

/// Text of that many lines, which no coding compresses away.
fn lines(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| format!("x{{a=\"{}\"}} {n}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

async fn inflate(coding: Coding, body: Vec<u8>, limit: usize) -> Result<Bytes, CodingError> {
    let mut permit = Budget::new(usize::MAX).take(0).expect("there is room");
    decompress(coding, body.into(), limit, &mut permit).await
}

async fn fault(coding: Coding, body: impl Into<Vec<u8>>) -> String {
    inflate(coding, body.into(), 1 << 20).await.expect_err("not a body").to_string()
}

#[actix_rt::test]
async fn bodies_come_out_as_they_were() {
    for coding in CODINGS.into_iter().chain([Coding::Identity]) {
        for count in [0, 1, 1000, 100_000] {
            let plain = lines(count);
            let budget = Budget::new(usize::MAX);
            let mut permit = budget.take(7).expect("there is room");
            let body = Bytes::from(compressed(coding, &plain));
            if body.is_empty() && coding != Coding::Identity {
                // The snappy writer writes nothing of nothing.
                continue;
            }
            let text = decompress(coding, body, plain.len(), &mut permit).await;
            assert_eq!(text.as_deref(), Ok(&*plain), "{count} lines in {coding}");
            let taken = if coding == Coding::Identity { 0 } else { plain.len() };
            assert_eq!(budget.taken(), 7 + taken, "the permit counts what was inflated");
        }
    }
}

#[actix_rt::test]
async fn bodies_may_be_in_pieces() {
    let (one, other) = (lines(50_000), lines(3));
    let plain = [&*one, &*other].concat();
    for coding in [Coding::Gzip, Coding::Snappy, Coding::Zstd] {
        let body = [compressed(coding, &one), compressed(coding, &other)].concat();
        assert_eq!(inflate(coding, body, 1 << 24).await.as_deref(), Ok(&*plain), "{coding}");
    }
    let many = compressed(Coding::Gzip, b"x 1\n").repeat(1000);
    assert_eq!(inflate(Coding::Gzip, many, 1 << 20).await.map(|text| text.len()), Ok(4000));
}

#[actix_rt::test]
async fn bare_deflate_is_taken_for_deflate() {
    for level in [0, 1, 9] {
        for plain in [b"".to_vec(), b"x 1\n".to_vec(), lines(50_000)] {
            let body =
                written(DeflateEncoder::new(Vec::new(), Compression::new(level)), &plain).finish().expect("memory");
            assert_eq!(inflate(Coding::Deflate, body, 1 << 24).await.as_deref(), Ok(&*plain));
        }
    }
}

#[actix_rt::test]
async fn bombs_are_refused_early() {
    const LIMIT: usize = 1 << 20;
    for coding in CODINGS {
        let body = compressed(coding, &vec![0; 10_000_000]);
        let budget = Budget::new(LIMIT + STEP_BYTES);
        let mut permit = budget.take(0).expect("there is room");
        let refused = decompress(coding, body.clone().into(), LIMIT, &mut permit).await;
        assert_eq!(refused, Err(CodingError::TooLarge { limit: LIMIT }), "{coding}");
        assert!(budget.taken() <= LIMIT, "{coding} took {}", budget.taken());

        let budget = Budget::new(LIMIT);
        let mut permit = budget.take(1).expect("there is room");
        assert_eq!(decompress(coding, body.into(), usize::MAX, &mut permit).await, Err(CodingError::Busy), "{coding}");
    }
    let refused = inflate(Coding::Identity, vec![0; 11], 10).await;
    assert_eq!(refused, Err(CodingError::TooLarge { limit: 10 }));
}

#[test]
fn no_more_is_held_than_the_limit_and_a_step() {
    const LIMIT: usize = 3_000_000;
    for body_length in [0, 1000, 1 << 24] {
        let mut text = Inflated::new(body_length, LIMIT);
        let refused = loop {
            let room = text.space().len();
            assert!((1..=STEP_BYTES).contains(&room) && text.bytes.capacity() <= LIMIT + STEP_BYTES);
            if let Err(error) = text.add(room) {
                break error;
            }
        };
        assert_eq!(refused, CodingError::TooLarge { limit: LIMIT });
    }
}

#[actix_rt::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    for coding in CODINGS {
        for length in [1, 4096, STEP_BYTES, 2 * STEP_BYTES] {
            let body = compressed(coding, &vec![b'x'; length]);
            assert_eq!(inflate(coding, body.clone(), length).await.map(|text| text.len()), Ok(length), "{coding}");
            let refused = inflate(coding, body, length - 1).await;
            assert_eq!(refused, Err(CodingError::TooLarge { limit: length - 1 }), "{coding}");
        }
    }
}

#[actix_rt::test]
async fn a_body_that_ends_early_is_refused() {
    let plain = lines(20);
    for coding in CODINGS {
        let body = compressed(coding, &plain);
        for length in 0..body.len() {
            let refused = inflate(coding, body[..length].to_vec(), 1 << 20).await;
            // The identifier of a snappy stream is a whole stream, of nothing.
            if coding == Coding::Snappy && length == 10 {
                assert_eq!(refused, Ok(Bytes::new()));
            } else if coding == Coding::Deflate && length == 1 {
                assert!(refused.is_err(), "half a zlib header is none");
            } else {
                assert_eq!(refused, Err(CodingError::Truncated(coding)), "{length} bytes in {coding}");
            }
        }
    }
}

#[actix_rt::test]
async fn a_changed_body_is_refused_or_harmless() {
    let plain = lines(20);
    for coding in CODINGS {
        let body = compressed(coding, &plain);
        for at in 0..body.len() {
            for flipped in [0x01, 0x80, 0xff] {
                let mut body = body.clone();
                body[at] ^= flipped;
                _ = inflate(coding, body, 1 << 20).await;
            }
        }
    }
}

#[actix_rt::test]
async fn other_bodies_are_refused_with_their_fault() {
    let garbage = b"# TYPE x counter\nx 1\n".as_slice();
    let cases = [
        (Coding::Gzip, garbage.to_vec(), "incorrect header check"),
        (Coding::Deflate, garbage.to_vec(), "data that cannot be decompressed"),
        (Coding::Zstd, garbage.to_vec(), "Unknown frame descriptor"),
        (Coding::Snappy, garbage.to_vec(), "no stream identifier: snappy's framed format is taken, a raw block is not"),
        (
            Coding::Snappy,
            snap::raw::Encoder::new().compress_vec(garbage).expect("short"),
            "no stream identifier: snappy's framed format is taken, a raw block is not",
        ),
        (
            Coding::Deflate,
            [compressed(Coding::Deflate, garbage), b"abc".to_vec()].concat(),
            "3 more bytes after its end",
        ),
        (Coding::Gzip, [compressed(Coding::Gzip, garbage), b"abc".to_vec()].concat(), "incorrect header check"),
        (Coding::Zstd, [compressed(Coding::Zstd, garbage), b"abcde".to_vec()].concat(), "Unknown frame descriptor"),
    ];
    for (coding, body, expected) in cases {
        assert_eq!(fault(coding, body).await, format!("expected a body in {coding}, got {expected}"));
    }
    let mut changed = compressed(Coding::Gzip, garbage);
    let checksum = changed.len() - 8;
    changed[checksum] ^= 1;
    assert_eq!(fault(Coding::Gzip, changed).await, "expected a body in gzip, got incorrect data check");
    let mut changed = compressed(Coding::Snappy, garbage);
    changed[14] ^= 1;
    assert!(fault(Coding::Snappy, changed).await.contains("checksum"));
    assert_eq!(fault(Coding::Zstd, *b"\x28").await, "expected a whole body in zstd, got one that ends early");
}

#[actix_rt::test]
async fn a_window_beyond_the_limit_is_refused() {
    // A frame header (RFC 8878, section 3.1.1.1) that asks for a window of that size, and an empty last block.
    let frame = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00].to_vec();
    assert_eq!(inflate(Coding::Zstd, frame((23 - 10) << 3), 10).await, Ok(Bytes::new()));
    let refused = fault(Coding::Zstd, frame((24 - 10) << 3)).await;
    assert_eq!(refused, "expected a body in zstd, got Frame requires too much memory for decoding");
}
