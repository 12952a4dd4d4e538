//! An HTTP server that answers as a test tells it to, faults included.
//!
//! One request per connection. Nothing of the product is in it: what it gets wrong, it gets wrong
//! on purpose.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`…
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was sent along, without its framing.
    pub body: Vec<u8>,
    /// Whether the connection was lost before all of the body came.
    pub is_cut: bool,
    /// How many requests with this method and path came before.
    pub before: usize,
}

/// What to answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers besides `Connection`, and `Content-Length` unless it shall be wrong.
    pub headers: Vec<(&'static str, String)>,
    /// The body, if it is not cut.
    pub body: Vec<u8>,
    /// How it ends.
    pub ending: Ending,
}

/// How the answer ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// As announced.
    Complete,
    /// The connection is lost after so many bytes of the body.
    Cut(usize),
    /// Bytes without end, and no announced size.
    Endless,
    /// Nothing more comes, and the connection stays open for a while.
    Stall,
    /// The headers come, one byte at a time, and never end.
    Drip,
    /// Nothing comes but the body, which is no HTTP.
    Garbage,
}

impl Reply {
    /// A complete answer.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            ending: Ending::Complete,
        }
    }

    /// The same with one more header, in place of one of that name.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// The same with another ending.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// A server on a free port of 127.0.0.1; ends with the test's process.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server that answers with what `answer` returns.
    ///
    /// # Panics
    /// When no port of this machine is free.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_cutting(|_| None, answer)
    }

    /// The same, but where `cut` says so (it does not see the body) the connection is lost after so
    /// many bytes of the request's body: `answer` sees what came, and nobody sees its answer.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_cutting(
        cut: impl Fn(&Seen) -> Option<u64> + Send + Sync + 'static,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a free port");
        let address = listener.local_addr().expect("it listens");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (cut, answer) = (Arc::new(cut), Arc::new(answer));
        let shared = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (cut, answer, log) =
                    (Arc::clone(&cut), Arc::clone(&answer), Arc::clone(&shared));
                thread::spawn(move || {
                    let _ = receive(&stream, &log, &*cut)
                        .and_then(|seen| respond(&stream, &seen, &answer(&seen)));
                });
            }
        });
        Self { address, log }
    }

    /// The URL of `path`, which starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `METHOD path` of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        let seen = self.seen();
        seen.iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Reads a request, as far as `cut` lets it come, and notes it.
fn receive(
    stream: &TcpStream,
    log: &Mutex<Vec<Seen>>,
    cut: &dyn Fn(&Seen) -> Option<u64>,
) -> std::io::Result<Seen> {
    let mut reader = BufReader::new(stream);
    let mut seen = read_head(&mut reader)?;
    let limit = cut(&seen);
    seen.is_cut = limit.is_some();
    read_body(&mut reader, &mut seen, limit)?;
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |other: &&Seen| (&other.method, &other.path) == (&seen.method, &seen.path);
    seen.before = log.iter().filter(same).count();
    log.push(seen.clone());
    Ok(seen)
}

fn respond(mut stream: &TcpStream, seen: &Seen, reply: &Reply) -> std::io::Result<()> {
    if seen.is_cut {
        return Ok(());
    }
    if matches!(reply.ending, Ending::Garbage) {
        return stream.write_all(&reply.body);
    }
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if matches!(reply.ending, Ending::Drip) {
        return drip(stream, &head);
    }
    let is_announced = reply
        .headers
        .iter()
        .any(|(name, _)| *name == "Content-Length");
    if !is_announced && !matches!(reply.ending, Ending::Endless) {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if seen.method == "HEAD" {
        return Ok(());
    }
    match reply.ending {
        Ending::Complete | Ending::Drip | Ending::Garbage => stream.write_all(&reply.body),
        Ending::Cut(count) => stream.write_all(&reply.body[..count.min(reply.body.len())]),
        Ending::Stall => {
            thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        Ending::Endless => loop {
            stream.write_all(&reply.body)?;
        },
    }
}

/// Sends `head` and then spaces of a header, slowly, until the other side has enough.
fn drip(mut stream: &TcpStream, head: &str) -> std::io::Result<()> {
    let spaces = std::iter::repeat(b' ');
    for byte in head.bytes().chain(*b"X-Slow:").chain(spaces) {
        stream.write_all(&[byte])?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn read_head(reader: &mut impl BufRead) -> std::io::Result<Seen> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok::<_, std::io::Error>(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers,
        body: Vec::new(),
        is_cut: false,
        before: 0,
    })
}

/// Reads what comes along with `seen`, at most `limit` bytes of it.
fn read_body(
    reader: &mut impl BufRead,
    seen: &mut Seen,
    limit: Option<u64>,
) -> std::io::Result<()> {
    if seen.headers.contains_key("transfer-encoding") {
        return read_chunks(reader, &mut seen.body);
    }
    let size = seen.headers.get("content-length").map(|size| size.parse());
    let size: u64 = size
        .transpose()
        .map_err(std::io::Error::other)?
        .unwrap_or_default();
    let size = limit.map_or(size, |limit| limit.min(size));
    reader.take(size).read_to_end(&mut seen.body)?;
    Ok(())
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        reader.take(size).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}
