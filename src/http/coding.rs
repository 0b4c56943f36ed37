//! Content codings: which one a body is in, and which one a page is sent in.

mod compress;
mod decompress;

pub use compress::compress;
pub use decompress::{CodingError, decompress};

use std::fmt;

use crate::exposition::format::header::{Clause, clauses};

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    /// RFC 1952, one member or more.
    Gzip,
    /// The zlib format (RFC 1950); in bodies also bare DEFLATE (RFC 1951), which some clients send.
    Deflate,
    /// Snappy's framed format.
    Snappy,
    /// RFC 8878, with a window of at most 8 MiB (RFC 9659).
    Zstd,
}

/// A `Content-Encoding` that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got {0}")]
pub struct UnknownCoding(pub String);

impl Coding {
    const ALL: [Self; 5] = [Self::Identity, Self::Gzip, Self::Deflate, Self::Snappy, Self::Zstd];

    /// As headers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        // RFC 9110, section 8.4.1.3.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(name))
    }

    /// The coding of a body by its `Content-Encoding`, which is empty if there is none.
    ///
    /// # Errors
    /// Any other coding, and more than one.
    pub fn of_header(content_encoding: &str) -> Result<Self, UnknownCoding> {
        match content_encoding.trim() {
            "" => Ok(Self::Identity),
            name => Self::from_name(name).ok_or_else(|| UnknownCoding(name.to_owned())),
        }
    }

    /// The coding that a page is best sent in by the reader's `Accept-Encoding`: zstd, gzip or none. The smaller page
    /// wins where the reader does not mind, so none only if the reader likes it better, or takes neither.
    pub fn accepted(accept_encoding: &str) -> Self {
        let mut wanted = Wanted::default();
        for clause in clauses(accept_encoding) {
            wanted.note(&clause);
        }
        wanted.best()
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How much each coding is wanted, as far as the reader says.
#[derive(Debug, Default)]
struct Wanted {
    zstd: Option<f32>,
    gzip: Option<f32>,
    identity: Option<f32>,
    /// Those it does not name.
    others: Option<f32>,
}

impl Wanted {
    fn note(&mut self, clause: &Clause<'_>) {
        let place = match Coding::from_name(clause.value) {
            Some(Coding::Zstd) => &mut self.zstd,
            Some(Coding::Gzip) => &mut self.gzip,
            Some(Coding::Identity) => &mut self.identity,
            None if clause.value == "*" => &mut self.others,
            _ => return,
        };
        place.get_or_insert(clause.q);
    }

    fn best(&self) -> Coding {
        let q = |named: Option<f32>| named.or(self.others).unwrap_or(0.0);
        let (zstd, gzip, identity) = (q(self.zstd), q(self.gzip), q(self.identity));
        let compressed = zstd.max(gzip);
        if compressed <= 0.0 || identity > compressed {
            Coding::Identity
        } else if zstd >= gzip {
            Coding::Zstd
        } else {
            Coding::Gzip
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_known_by_their_content_encoding() {
        let cases = [
            ("", Some(Coding::Identity)),
            ("identity", Some(Coding::Identity)),
            (" GZIP ", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("snappy", Some(Coding::Snappy)),
            ("Zstd", Some(Coding::Zstd)),
            ("br", None),
            ("gzip, gzip", None),
            ("identity,gzip", None),
            ("gzip,", None),
            ("gzip;q=1", None),
        ];
        for (header, coding) in cases {
            assert_eq!(Coding::of_header(header).ok(), coding, "{header}");
        }
        let error = Coding::of_header(" gzip, br").expect_err("two codings");
        let expected = "expected Content-Encoding to be one of identity, gzip, deflate, snappy and zstd, got gzip, br";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn pages_are_sent_in_the_coding_that_is_wanted_most() {
        let cases = [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("br, deflate, snappy", Coding::Identity),
            // Prometheus.
            ("gzip", Coding::Gzip),
            // Browsers.
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("x-gzip", Coding::Gzip),
            ("GZip;Q=0.5, Zstd;q=0.5", Coding::Zstd),
            ("gzip;q=1.0, zstd;q=0.9", Coding::Gzip),
            ("gzip;q=0", Coding::Identity),
            ("gzip;q=0, zstd;q=0.1", Coding::Zstd),
            ("gzip;q=0.5, identity", Coding::Identity),
            ("gzip, identity", Coding::Gzip),
            ("gzip;q=0.5, identity;q=0.5", Coding::Gzip),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", Coding::Gzip),
            ("identity;q=0", Coding::Identity),
            ("*;q=0", Coding::Identity),
            ("*", Coding::Zstd),
            ("zstd;q=0, *", Coding::Gzip),
            ("gzip;q=0.5, *;q=0.1", Coding::Gzip),
            ("gzip;q=nonsense", Coding::Identity),
        ];
        for (header, coding) in cases {
            assert_eq!(Coding::accepted(header), coding, "{header}");
        }
    }
}
