//! The gateway that is pushed to: where it listens, and what its paths begin with.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::Error;

/// A gateway's base URL. There is no TLS: what is measured is the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The value of the header `Host`.
    pub host: String,
    /// What paths begin with, without a slash at the end.
    pub base: String,
}

impl Target {
    /// Reads `http://<host>[:<port>][/<path>]` and looks the host up.
    pub fn parse(url: &str) -> Result<Target, Error> {
        let rest = url.strip_prefix("http://").ok_or_else(|| Error::Target(url.to_owned()))?;
        let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_sendable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !is_sendable(rest) {
            return Err(Error::Target(url.to_owned()));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
        let not_found = |error| Error::Host(host.to_owned(), error);
        let address = with_port.to_socket_addrs().map_err(not_found)?.next();
        let address = address.ok_or_else(|| not_found(std::io::ErrorKind::NotFound.into()))?;
        Ok(Target { address, host: host.to_owned(), base: base.trim_end_matches('/').to_owned() })
    }

    /// A server on this machine.
    pub fn local(address: SocketAddr) -> Target {
        Target { address, host: address.to_string(), base: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        let cases = [
            ("http://127.0.0.1:9091", "127.0.0.1:9091", "127.0.0.1:9091", ""),
            ("http://127.0.0.1:9091/", "127.0.0.1:9091", "127.0.0.1:9091", ""),
            ("http://127.0.0.1/aggregate", "127.0.0.1:80", "127.0.0.1", "/aggregate"),
            ("http://[::1]:80/a/b/", "[::1]:80", "[::1]:80", "/a/b"),
        ];
        for (url, address, host, base) in cases {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.address, address.parse().unwrap(), "{url}");
            assert_eq!((&*target.host, &*target.base), (host, base), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        for url in ["https://127.0.0.1", "127.0.0.1:9091", "http://", "http:///metrics", "http://127.0.0.1/a b"] {
            let said = Target::parse(url).unwrap_err().to_string();
            assert_eq!(said, format!("expected http://<host>[:<port>][/<path>] as the target, got {url:?}"));
        }
    }
}
