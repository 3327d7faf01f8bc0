//! The load: connections that are kept, each sending another request as soon as it has the answer. Every request is signed
//! anew, as clients do, and as Keyward demands; every server is sent the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::servers::Server;

/// No request has the nonce of another.
static NONCES: AtomicU64 = AtomicU64::new(0);

/// How much load, and for how long.
pub struct Load {
    pub seconds: Duration,
    pub connections: usize,
}

/// What one server did in one round.
pub struct Measured {
    requests: u64,
    elapsed: Duration,
    cpu: Duration,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU time of the server, the pass-through alone without its upstream, in microseconds for each request.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

impl Load {
    pub fn run(&self, server: &Server) -> Measured {
        let cpu = cpu_time(server.process);
        let begin = Instant::now();
        let deadline = begin + self.seconds;
        let requests = thread::scope(|scope| {
            let clients: Vec<_> =
                (0..self.connections).map(|_| scope.spawn(move || keep_asking(server, deadline))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        Measured { requests, elapsed: begin.elapsed(), cpu: cpu_time(server.process) - cpu }
    }
}

fn keep_asking(server: &Server, deadline: Instant) -> u64 {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let mut answered = 0;
    while Instant::now() < deadline {
        let nonce = NONCES.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&server.request.signed(&format!("{nonce:032x}"))).unwrap();
        read_answer(&mut stream, &mut buffer, server.status_line);
        answered += 1;
    }
    answered
}

/// Reads one answer to its end, makes sure that it is the expected one, and returns its body.
pub fn read_answer<'a>(stream: &mut TcpStream, buffer: &'a mut [u8], status_line: &str) -> &'a [u8] {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "a server closed a connection");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
        let length: usize =
            text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok()).unwrap();
        if filled == head + 4 + length {
            assert!(text.starts_with(status_line), "{text}");
            return &buffer[head + 4..filled];
        }
    }
}

/// User and system time of a process (fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms).
fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
