//! The counters of nodes for a Prometheus server.

use super::counters::Counters;
use super::error::Error;
use super::handle::Published;
use super::stop::Stop;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The interval at which the server looks for connections and for the stop.
const INTERVAL: Duration = Duration::from_millis(20);

/// The time limit of a client to send a request, and to read the response.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// The length in bytes of the longest request that is read.
const REQUEST_MAX: usize = 4096;

/// Returns the counters of nodes in the text format of Prometheus.
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

/// Serves the counters of nodes under `/metrics`, one client at a time, until `stop` is set. Every
/// client that reaches the address gets them.
///
/// # Errors
///
/// [`Error::Listener`] if the address cannot be used; [`Error::Thread`].
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
                Ok((client, _)) => {
                    let counted = nodes
                        .iter()
                        .map(|(node, published)| (*node, published.get()));
                    // A client may close the connection.
                    let _ = answer(client, &counted.collect::<Vec<_>>());
                }
                Err(_) => thread::sleep(INTERVAL),
            }
        }
    };
    let thread = thread::Builder::new().name("metrics".to_owned());
    Ok((address, thread.spawn(serve).map_err(Error::Thread)?))
}

fn answer(mut client: TcpStream, nodes: &[(usize, Counters)]) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(TIME_LIMIT))?;
    client.set_write_timeout(Some(TIME_LIMIT))?;
    let mut request = [0; REQUEST_MAX];
    let mut length = 0;
    while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut request[length..])? {
            // The connection is closed, or the request is too long.
            0 => return Ok(()),
            read => length += read,
        }
    }
    let (status, body) = match request.starts_with(b"GET /metrics ") {
        true => ("200 OK", prometheus(nodes)),
        false => ("404 Not Found", "see /metrics\n".to_owned()),
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(5 * TIME_LIMIT)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn counters_are_served_as_text_and_bad_requests_do_no_harm() {
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
        assert_eq!(ask(address, &[b'x'; REQUEST_MAX]), "");
        assert_eq!(
            ask(address, b"GET /metrics"),
            "",
            "the time limit has passed"
        );
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
