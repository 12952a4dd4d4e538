//! Plain http through a proxy: it is asked for whole URLs, RFC 9112, 3.2.2.
//!
//! ureq has tunnels only, which proxies usually grant to port 443 alone. So its connection goes to
//! the proxy's address, and the first line of what is sent over it is written anew.
//!
//! Knows: where the proxy is, and how a request begins. Does not know: what is asked for.
//!
//! Invariant: a connection carries one request, so what is sent first is its head; the agent keeps
//! none for a second one.

use ureq::{
    Error, Proxy, ProxyProtocol,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport},
    },
};

use crate::basic;

/// The address of the proxy, whatever host is asked for.
#[derive(Debug)]
pub(crate) struct ProxyAddress(Uri);

/// Makes connections to a proxy.
#[derive(Debug)]
pub(crate) struct Forward {
    /// `Proxy-Authorization`, with its end of line; empty if nobody logs in.
    authorization: Vec<u8>,
}

/// A connection to a proxy.
#[derive(Debug)]
pub(crate) struct Forwarding<T> {
    to_proxy: T,
    /// What is to be inserted into the head, until it was sent.
    insert: Option<Insert>,
}

#[derive(Debug)]
struct Insert {
    /// `http://HOST[:PORT]`.
    origin: Vec<u8>,
    authorization: Vec<u8>,
}

/// What an agent for plain http needs to use `proxy`; `None` if that is not spoken to in plain http.
pub(crate) fn through(proxy: &Proxy) -> Option<(impl Connector, ProxyAddress)> {
    if proxy.protocol() != ProxyProtocol::Http {
        return None;
    }
    let login = proxy.username().map(|user| {
        let password = proxy.password().unwrap_or_default();
        let value = basic(&format!("{user}:{password}"));
        format!("Proxy-Authorization: {value}\r\n")
    });
    let forward = Forward {
        authorization: login.unwrap_or_default().into_bytes(),
    };
    let connector = ().chain(TcpConnector::default()).chain(forward);
    Some((connector, ProxyAddress(proxy.uri().clone())))
}

impl Resolver for ProxyAddress {
    fn resolve(
        &self,
        _: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        DefaultResolver::default().resolve(&self.0, config, timeout)
    }
}

impl<In: Transport> Connector<In> for Forward {
    type Out = Forwarding<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let authority = details.uri.authority();
        let host = authority.map_or("", |authority| authority.as_str());
        let insert = Insert {
            origin: format!("http://{host}").into_bytes(),
            authorization: self.authorization.clone(),
        };
        Ok(chained.map(|to_proxy| Forwarding {
            to_proxy,
            insert: Some(insert),
        }))
    }
}

impl Insert {
    /// The start of a request, `METHOD PATH VERSION` and some headers, as a proxy wants it.
    fn into(self, head: &[u8]) -> Vec<u8> {
        let path = position(head, b" ").map_or(0, |space| space + 1);
        let headers = position(head, b"\r\n").map_or(head.len(), |end| end + 2);
        [
            &head[..path],
            &self.origin,
            &head[path..headers],
            &self.authorization,
            &head[headers..],
        ]
        .concat()
    }
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|it| it == wanted)
}

impl<T: Transport> Transport for Forwarding<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.to_proxy.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let Some(insert) = self.insert.take() else {
            return self.to_proxy.transmit_output(amount, timeout);
        };
        let head = insert.into(&self.buffers().output()[..amount]);
        let mut rest = &head[..];
        while !rest.is_empty() {
            let output = self.to_proxy.buffers().output();
            let (now, later) = rest.split_at(output.len().min(rest.len()));
            output[..now.len()].copy_from_slice(now);
            self.to_proxy.transmit_output(now.len(), timeout)?;
            rest = later;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.to_proxy.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.to_proxy.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::Insert;

    #[test]
    fn a_head_gets_the_origin_and_a_login() {
        let of = |authorization: &str, head: &str| {
            let insert = Insert {
                origin: b"http://h:1".to_vec(),
                authorization: authorization.into(),
            };
            String::from_utf8(insert.into(head.as_bytes())).unwrap()
        };
        assert_eq!(
            of("", "GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n"),
            "GET http://h:1/a HTTP/1.1\r\nHost: h:1\r\n\r\n"
        );
        assert_eq!(
            of("P: x\r\n", "PUT / HTTP/1.1\r\nA: b\r\n\r\nbody"),
            "PUT http://h:1/ HTTP/1.1\r\nP: x\r\nA: b\r\n\r\nbody"
        );
    }
}
