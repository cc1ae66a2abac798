//! What nodes count, for a Prometheus server to fetch.

use super::counters::Counters;
use super::error::Error;
use super::handle::Published;
use super::stop::Stop;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the endpoint sleeps before it looks again for visitors and for the order to stop.
const NAP: Duration = Duration::from_millis(20);

/// How long a visitor may take to ask, and to read.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest question that is read, in bytes.
const QUESTION_MAX: usize = 4096;

/// The counters of some nodes in the text format of Prometheus.
pub fn prometheus(nodes: &[(usize, Counters)]) -> String {
    let mut text = String::new();
    let names = Counters::default().by_name();
    for (at, (name, _)) in names.iter().enumerate() {
        let _ = writeln!(text, "# TYPE synod_{name}_total counter");
        for (node, counters) in nodes {
            let count = counters.by_name()[at].1;
            let _ = writeln!(text, "synod_{name}_total{{node=\"{node}\"}} {count}");
        }
    }
    text
}

/// Serves the counters of nodes under `/metrics`, one visitor at a time, until told to stop. Let
/// only those reach the address who may know.
///
/// # Errors
///
/// [`Error::Listener`] if the address cannot be had, [`Error::Thread`].
pub fn serve_metrics(
    address: SocketAddr,
    nodes: Vec<(usize, Published)>,
    stop: Stop,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    let (address, listener) = listener.map_err(Error::Listener)?;
    let serve = move || {
        while !stop.is_stopped() {
            match listener.accept() {
                Ok((visitor, _)) => {
                    let counted = nodes
                        .iter()
                        .map(|(node, published)| (*node, published.get()));
                    // A visitor who goes away is none of our business.
                    let _ = answer(visitor, &counted.collect::<Vec<_>>());
                }
                Err(_) => thread::sleep(NAP),
            }
        }
    };
    let thread = thread::Builder::new().name("metrics".to_owned());
    Ok((address, thread.spawn(serve).map_err(Error::Thread)?))
}

fn answer(mut visitor: TcpStream, nodes: &[(usize, Counters)]) -> io::Result<()> {
    visitor.set_nonblocking(false)?;
    visitor.set_read_timeout(Some(PATIENCE))?;
    visitor.set_write_timeout(Some(PATIENCE))?;
    let mut question = [0; QUESTION_MAX];
    let mut length = 0;
    while !question[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match visitor.read(&mut question[length..])? {
            // Gone, or too long-winded.
            0 => return Ok(()),
            read => length += read,
        }
    }
    let (status, body) = match question.starts_with(b"GET /metrics ") {
        true => ("200 OK", prometheus(nodes)),
        false => ("404 Not Found", "see /metrics\n".to_owned()),
    };
    let length = body.len();
    write!(
        visitor,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
        stream.write_all(question).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn counters_are_served_as_text_and_bad_questions_do_no_harm() {
        let (one, two, stop) = (Published::default(), Published::default(), Stop::new());
        let mut counters = Counters {
            saves: 3,
            ..Counters::default()
        };
        counters.dropped.forged = 4;
        two.set(&counters);
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, thread) =
            serve_metrics(local, vec![(1, one), (2, two)], stop.clone()).unwrap();
        assert!(ask(address, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert_eq!(ask(address, &[b'x'; QUESTION_MAX]), "");
        assert_eq!(ask(address, b"GET /metrics"), "", "it waited long enough");
        let text = ask(address, b"GET /metrics HTTP/1.1\r\n\r\n");
        for line in [
            "HTTP/1.1 200 OK",
            "# TYPE synod_saves_total counter",
            "synod_saves_total{node=\"1\"} 0",
            "synod_saves_total{node=\"2\"} 3",
            "synod_dropped_forged_total{node=\"2\"} 4",
        ] {
            assert!(text.contains(line), "{text}");
        }
        stop.stop();
        thread.join().unwrap();
    }
}
