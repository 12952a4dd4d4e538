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
    /// How many requests with this method and path came before.
    pub before: usize,
}

/// What to answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers besides `Connection` and `Content-Length`.
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

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a free port");
        let address = listener.local_addr().expect("it listens");
        let log = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let shared = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&shared));
                thread::spawn(move || {
                    let _ = converse(&stream, &log, &*answer);
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

fn converse(
    mut stream: &TcpStream,
    log: &Mutex<Vec<Seen>>,
    answer: &dyn Fn(&Seen) -> Reply,
) -> std::io::Result<()> {
    let mut seen = read_request(stream)?;
    {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &&Seen| (&other.method, &other.path) == (&seen.method, &seen.path);
        seen.before = log.iter().filter(same).count();
        log.push(seen.clone());
    }
    let reply = answer(&seen);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !matches!(reply.ending, Ending::Endless) {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if seen.method == "HEAD" {
        return Ok(());
    }
    match reply.ending {
        Ending::Complete => stream.write_all(&reply.body),
        Ending::Cut(count) => stream.write_all(&reply.body[..count]),
        Ending::Stall => {
            thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        Ending::Endless => loop {
            stream.write_all(&reply.body)?;
        },
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Seen> {
    let mut reader = BufReader::new(stream);
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
    let mut body = Vec::new();
    if headers.contains_key("transfer-encoding") {
        read_chunks(&mut reader, &mut body)?;
    } else if let Some(size) = headers.get("content-length") {
        (&mut reader)
            .take(size.parse().map_err(std::io::Error::other)?)
            .read_to_end(&mut body)?;
    }
    Ok(Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers,
        body,
        before: 0,
    })
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
