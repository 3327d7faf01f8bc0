//! The end of a Keyward, and its successor: nobody's request is lost, and none goes unjudged. Rows of the catalogue of threats
//! are named by their ids.

#![expect(clippy::disallowed_methods, reason = "tests read what the system says of a process")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::front::{ORDERS, PAYROLL, plain};
use crate::gateway::scripted::{Act, Scripted, answer};
use crate::sandbox::{ALICE, FORM, House, KIM, Running, Spawned, post, signed_v1, status_and_body, tcp, wait};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");

/// A house whose Keyward can be taken over.
fn house() -> House {
    let house = House::new();
    house.edit("config/keyward.toml", "# handover = ", "handover = ");
    house.edit("config/keyward.toml", "# health = \"127.0.0.1:7483\"", "health = \"127.0.0.1:0\"");
    house
}

/// One request on a connection that stays open: the whole answer, or nothing.
fn ask(stream: &mut TcpStream, body: &str) -> Option<String> {
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| body.len() >= length) {
            return Some(text);
        }
    }
}

fn closes(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}

/// U07, U08: probes are told first, then clients; an application that goes on is served meanwhile; who is connected gets his
/// answer and is asked to leave; then it ends at once.
#[test]
fn an_end_is_announced() {
    let house = house();
    house.edit("config/keyward.toml", "notice_seconds = 1", "notice_seconds = 30");
    let mut running = house.start();
    let mut kept = tcp(&running.api);
    assert!(!closes(&ask(&mut kept, &signed_v1(ALICE, "ListKeys", &[])).unwrap()));
    running.signal("TERM");
    assert!(wait(|| running.page("/readyz").0 == 503), "readiness drops first");
    // Who comes now is still served, and asked to leave.
    let mut late = tcp(&running.api);
    assert!(closes(&ask(&mut late, &signed_v1(ALICE, "ListKeys", &[])).unwrap()));
    let answer = ask(&mut kept, &signed_v1(ALICE, "Encrypt", &[("KeyId", PAYROLL), HELLO])).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && closes(&answer), "judged as ever: {answer}");
    let begin = Instant::now();
    drop((kept, late));
    assert!(running.ended().success());
    assert!(begin.elapsed() < Duration::from_secs(15), "nobody is connected, so nobody is waited for");
    assert_eq!(running.audit().len(), 3, "every request has its line");
}

/// U07: running requests end, and a second signal does not wait for them. Whatever was decided is told.
#[test]
fn running_requests_end_first() {
    let kms = Scripted::start(|request, _| match request.operation().as_str() {
        "ListKeys" => vec![Act::Drip(answer(200, r#"{"Keys":{"Key":[]},"RequestId":"r"}"#), Duration::from_millis(3))],
        _ => vec![Act::Silence],
    });
    for (operation, signals, expected) in [
        ("ListKeys", &["TERM"][..], 200),
        ("ListKeys", &["INT"], 200),
        ("ListKeys", &["PIPE", "TERM"], 200),
        ("ListSecrets", &["TERM", "TERM"], 502),
        ("ListSecrets", &["TERM", "INT"], 502),
    ] {
        let house = plain(&kms.address, &[]);
        let mut running = house.start();
        let (api, asked) = (running.api.clone(), kms.requests().len());
        let waiting = thread::spawn(move || {
            let mut stream = tcp(&api);
            ask(&mut stream, &signed_v1(KIM, operation, &[])).map_or(0, |answer| status_and_body(&answer).0)
        });
        assert!(wait(|| kms.requests().len() > asked));
        for (at, signal) in signals.iter().enumerate() {
            running.signal(signal);
            if at == 0 && *signal == "TERM" {
                running.written_with("a second signal ends at once");
            }
        }
        let begin = Instant::now();
        assert!(running.ended().success(), "{signals:?}");
        assert!(begin.elapsed() < Duration::from_secs(6), "{signals:?}");
        assert_eq!(waiting.join().unwrap(), expected, "{signals:?}");
        let line = running.audit().pop().unwrap();
        let told = (line["executed"].as_str(), line["upstream_error"].as_str());
        let cut_off = (Some("unknown"), Some("cut_off"));
        assert_eq!(told, if expected == 200 { (Some("yes"), None) } else { cut_off }, "{signals:?}: {line}");
    }
}

/// While running requests end, nobody waits in a queue in vain: who comes is refused, and goes elsewhere.
#[test]
fn nobody_queues_for_an_end() {
    let kms = slow_to_list_keys(Duration::from_millis(40));
    let house = plain(&kms.address, &[("# handover = ", "handover = ")]);
    let mut running = house.start();
    let api = running.api.clone();
    let slow = thread::spawn(move || ask(&mut tcp(&api), &signed_v1(KIM, "ListKeys", &[])).is_some());
    assert!(wait(|| kms.count("ListKeys") == 1));
    running.signal("TERM");
    assert!(wait(|| TcpStream::connect(&running.api).is_err()), "it is let in");
    assert!(!slow.is_finished(), "it is still running");
    assert!(slow.join().unwrap() && running.ended().success());
}

/// U06: what is in memory stays there, whatever becomes of the process.
#[test]
fn nobody_finds_a_dump_of_it() {
    let house = house();
    let running = house.start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.process())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
}

/// The health port says one word and no more, to whoever asks.
#[test]
fn probes_from_elsewhere_are_told_one_word() {
    let house = house();
    let running = house.start();
    let text = running.everything_written();
    let line = text.lines().find(|line| line.trim_start().starts_with("health")).unwrap_or_else(|| panic!("{text}"));
    let address = line.split("http://").nth(1).unwrap().split(['/', ',']).next().unwrap().to_owned();
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: anything.example\r\nConnection: close\r\n\r\n");
        let answer = crate::sandbox::exchange(&mut tcp(&address), request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    };
    assert_eq!(get("/healthz"), ("200".to_owned(), "ok\n".to_owned()));
    assert_eq!(get("/readyz"), ("200".to_owned(), "ready\n".to_owned()));
    for path in ["/metrics", "/status", "/", "/-/reload"] {
        assert_eq!(get(path).0, "404", "{path}");
    }
}

/// What is asked over and over while one Keyward takes over from another.
struct Load {
    done: AtomicBool,
    asked: AtomicUsize,
}

impl Load {
    /// Asks with one kept connection until it is done: what is allowed is answered, and what is not is refused, each once.
    fn run(&self, api: &str, allowed: bool) {
        let mut kept: Option<TcpStream> = None;
        while !self.done.load(Ordering::SeqCst) {
            let key = if allowed { ORDERS } else { PAYROLL };
            let body = signed_v1(ALICE, "Encrypt", &[("KeyId", key), HELLO]);
            let mut stream = kept.take().unwrap_or_else(|| tcp(api));
            let answer = ask(&mut stream, &body).expect("a request was lost");
            let expected = if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
            assert!(answer.starts_with(expected), "{answer}");
            kept = (!closes(&answer)).then_some(stream);
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Has one Keyward take over from the next, under load, as often as that.
fn take_over_under_load(house: &House, times: usize) {
    let first = house.start();
    let api = first.api.clone();
    let load = Load { done: AtomicBool::new(false), asked: AtomicUsize::new(0) };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|client| (client, &load, &api)).collect();
        let clients: Vec<_> = clients
            .into_iter()
            .map(|(client, load, api)| scope.spawn(move || load.run(api, client % 2 == 0)))
            .collect();
        let mut current: Running<'_> = first;
        for _ in 0..times {
            let asked = load.asked.load(Ordering::SeqCst);
            assert!(wait(
                || load.asked.load(Ordering::SeqCst) > asked + 20 || clients.iter().any(|it| it.is_finished())
            ));
            let successor = house.start_successor();
            current.signal("QUIT");
            let next = house.serving(successor);
            assert!(current.ended().success());
            assert_eq!(next.api, api, "the same socket");
            current = next;
        }
        let asked = load.asked.load(Ordering::SeqCst);
        assert!(wait(|| load.asked.load(Ordering::SeqCst) > asked + 20 || clients.iter().any(|it| it.is_finished())));
        load.done.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// U13: sockets change hands under load, with the embedded KMS and its data.
#[test]
fn a_successor_goes_on_where_the_predecessor_ended() {
    take_over_under_load(&house(), 3);
}

/// U13: the same in front of a KMS elsewhere.
#[test]
fn a_successor_goes_on_in_front_of_another_kms() {
    let body = r#"{"KeyId":"key-exampleorders01","KeyVersionId":"v","CiphertextBlob":"eA==","RequestId":"r"}"#;
    let kms = Scripted::always(body);
    let house = plain(&kms.address, &[("# handover = ", "handover = "), ("notice_seconds = 0", "notice_seconds = 2")]);
    take_over_under_load(&house, 2);
    assert!(kms.requests().iter().all(|request| request.parameter("KeyId").as_deref() == Some(ORDERS)));
}

/// U13, G05: what was taken before is not taken again afterwards; what was signed before and never sent is.
#[test]
fn a_successor_remembers_requests_and_sessions() {
    let house = house();
    let mut running = house.start();
    let captured = post("", &signed_v1(ALICE, "ListKeys", &[]));
    let unsent = post("", &signed_v1(ALICE, "ListKeys", &[]));
    let send = |running: &Running<'_>, bytes: &[u8]| {
        let (status, body) = status_and_body(&crate::sandbox::exchange(&mut tcp(&running.api), bytes));
        (status, body["Code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(send(&running, &captured).0, 200);
    let successor = house.start_successor();
    running.signal("QUIT");
    let next = house.serving(successor);
    assert!(running.ended().success());
    assert_eq!(send(&next, &captured), (400, "SignatureNonceUsed".to_owned()));
    assert_eq!(send(&next, &unsent).0, 200);
}

/// Without a successor nothing ends, and one that cannot serve does not even wait.
#[test]
fn nobody_ends_without_a_successor() {
    let house = house();
    let running = house.start();
    running.signal("QUIT");
    running.written_with("nobody waits at listen.handover");
    running.call(ALICE, "ListKeys", &[]).ok();
    house.edit("policies/ram/KmsBrowse.json", "\"Allow\"", "\"Alow\"");
    let (_, said, code) = house.run(&["serve", "--take-over", "--config", "config/keyward.toml"]);
    assert!(said.contains("KmsBrowse.json") && code == Some(1), "{said}");
    running.call(ALICE, "ListKeys", &[]).ok();
}

/// A KMS that pauses after every byte of its answer to ListKeys.
fn slow_to_list_keys(pause: Duration) -> Scripted {
    Scripted::start(move |request, _| match request.operation().as_str() {
        "ListKeys" => vec![Act::Drip(answer(200, r#"{"Keys":{"Key":[]},"RequestId":"r"}"#), pause)],
        _ => vec![Act::Send(answer(200, r#"{"RequestId":"r"}"#))],
    })
}

/// Starts a successor and has the predecessor hand over to it, once somebody lists keys.
fn begin_to_hand_over(house: &House, running: &Running<'_>, kms: &Scripted) -> Spawned {
    assert!(wait(|| kms.count("ListKeys") == 1));
    let successor = house.start_successor();
    running.signal("QUIT");
    running.written_with("handing over to a successor");
    successor
}

/// A request that takes long, and one that never comes whole: the successor waits for both, and serves afterwards.
#[test]
fn slow_requests_do_not_lose_a_successor() {
    let kms = slow_to_list_keys(Duration::from_millis(60));
    let changes = [
        ("# handover = ", "handover = "),
        ("body_ms = 4000", "body_ms = 20000"),
        ("answer_ms = 8000", "answer_ms = 20000"),
    ];
    let house = plain(&kms.address, &changes);
    let mut running = house.start();
    let api = running.api.clone();
    let slow = thread::spawn(move || ask(&mut tcp(&api), &signed_v1(KIM, "ListKeys", &[])).is_some());
    let successor = begin_to_hand_over(&house, &running, &kms);
    // Whoever begins and never ends is waited for no longer than a request may take.
    let mut lame = tcp(&running.api);
    lame.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    let next = house.serving(successor);
    assert!(running.ended().success());
    assert!(slow.join().unwrap(), "it was answered");
    next.call(KIM, "ListSecrets", &[]).ok();
}

/// A successor that dies while requests end, or that the signal for its predecessor reached too, leaves nobody without a door.
#[test]
fn a_successor_that_dies_is_no_end() {
    let kms = slow_to_list_keys(Duration::from_millis(20));
    let house = plain(&kms.address, &[("# handover = ", "handover = ")]);
    let running = house.start();
    let captured = post("", &signed_v1(KIM, "ListSecrets", &[]));
    let send = || status_and_body(&crate::sandbox::exchange(&mut tcp(&running.api), &captured)).0;
    assert_eq!(send(), 200);
    let api = running.api.clone();
    let slow = thread::spawn(move || ask(&mut tcp(&api), &signed_v1(KIM, "ListKeys", &[])).is_some());
    let successor = begin_to_hand_over(&house, &running, &kms);
    successor.kill();
    assert!(slow.join().unwrap(), "it was answered");
    running.written_with("the successor did not take over; serving goes on");
    running.call(KIM, "ListSecrets", &[]).ok();
    assert_eq!(send(), 400, "what was taken stays taken");
    // And another one can.
    let mut running = running;
    let successor = house.start_successor();
    successor.signal("QUIT");
    successor.signal("HUP");
    running.signal("QUIT");
    let next = house.serving(successor);
    assert!(running.ended().success());
    next.call(KIM, "ListSecrets", &[]).ok();
}

/// Whoever was told to end does, also if the successor dies meanwhile.
#[test]
fn an_end_stays_one_when_the_successor_dies() {
    let kms = Scripted::start(|request, _| match request.operation().as_str() {
        "ListKeys" => vec![Act::Silence],
        _ => vec![Act::Send(answer(200, r#"{"RequestId":"r"}"#))],
    });
    let house = plain(&kms.address, &[("# handover = ", "handover = ")]);
    let mut running = house.start();
    let api = running.api.clone();
    let slow = thread::spawn(move || ask(&mut tcp(&api), &signed_v1(KIM, "ListKeys", &[])));
    let successor = begin_to_hand_over(&house, &running, &kms);
    successor.signal("STOP");
    running.signal("TERM");
    running.written_with("requests are cut off by a second signal");
    successor.kill();
    assert!(running.ended().success());
    assert!(slow.join().unwrap().is_some_and(|answer| answer.starts_with("HTTP/1.1 502")));
}

/// Answers that still come through a door that was closed say that nothing more may be asked there.
#[test]
fn a_closed_door_is_told_although_serving_goes_on() {
    let kms = slow_to_list_keys(Duration::from_millis(20));
    let house = plain(&kms.address, &[("# handover = ", "handover = ")]);
    let running = house.start();
    let api = running.api.clone();
    let slow = thread::spawn(move || {
        let mut stream = tcp(&api);
        ask(&mut stream, &signed_v1(KIM, "ListKeys", &[])).map(|answer| closes(&answer))
    });
    let successor = begin_to_hand_over(&house, &running, &kms);
    successor.kill();
    running.written_with("serving goes on");
    assert_eq!(slow.join().unwrap(), Some(true));
}

/// What would keep a successor from serving keeps it from waiting, or the other one from ending.
#[test]
fn whoever_cannot_serve_takes_nothing_over() {
    let kms = Scripted::always(r#"{"RequestId":"r"}"#);
    let house = plain(&kms.address, &[("# handover = ", "handover = ")]);
    let running = house.start();
    let settings = house.read("config/keyward.toml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let health = format!("health = \"{}\"", taken.local_addr().unwrap());
    for (old, new, said) in [
        ("[policies]", "[log]\naudit = \"/nowhere/at/all/audit\"\n\n[policies]", "audit"),
        ("data = \"../.keyward\"", "data = \"keyward.toml/x\"", "session.key"),
        ("kim.secret", "nobody.secret", "there is no credential yet"),
    ] {
        house.write("config/keyward.toml", &settings.replace(old, new));
        let (_, told, code) = house.run(&["serve", "--take-over", "--config", "config/keyward.toml"]);
        assert!(told.contains(said) && code != Some(0), "{old}: {told}");
        assert!(!told.contains("ready to take over"), "{old}: {told}");
    }
    house.write("config/keyward.toml", &settings.replace("# health = \"0.0.0.0:7483\"", &health));
    let successor = house.start_successor();
    running.signal("QUIT");
    let line = running.written_with("serving goes on");
    assert!(line.contains("taken by another program"), "{line}");
    running.call(KIM, "ListSecrets", &[]).ok();
    successor.kill();
    // What breaks while it waits.
    house.write("config/keyward.toml", &settings);
    let successor = house.start_successor();
    house.edit("policies/ram/KmsBrowse.json", "\"Allow\"", "\"Alow\"");
    running.signal("QUIT");
    assert!(wait(|| running.everything_written().contains("KmsBrowse.json:5")), "{}", running.everything_written());
    running.call(KIM, "ListSecrets", &[]).ok();
    successor.kill();
}

/// The same of the data of the embedded KMS: of others, and of those that are still in use.
#[test]
fn whoever_cannot_have_its_data_takes_nothing_over() {
    let house = house();
    let running = house.start();
    let settings = house.read("config/keyward.toml");
    let refused = || {
        let (_, told, code) = house.run(&["serve", "--take-over", "--config", "config/keyward.toml"]);
        assert!(code != Some(0) && !told.contains("ready to take over"), "{told}");
        told
    };
    house.write("damaged/kms.redb", "no database");
    house.write("config/keyward.toml", &settings.replace("\"../.keyward\"", "\"../damaged\""));
    assert!(refused().contains("damaged"));
    house.write("config/keyward.toml", &settings);
    std::fs::rename(house.path(".keyward/root.key"), house.path("away.key")).unwrap();
    assert!(refused().contains("root.key"));
    running.call(ALICE, "ListKeys", &[]).ok();
}

/// U07, U13: whatever ends a predecessor, its successor serves; and a second signal leaves nobody without an answer.
#[test]
fn a_predecessor_that_dies_has_a_successor() {
    for signal in ["KILL", "TERM"] {
        let house = house();
        house.edit("config/keyward.toml", "notice_seconds = 1", "notice_seconds = 20");
        let running = house.start();
        let (mut kept, api) = (tcp(&running.api), running.api.clone());
        ask(&mut kept, &signed_v1(ALICE, "ListKeys", &[])).unwrap();
        let successor = house.start_successor();
        running.signal("QUIT");
        running.written_with("handing over to a successor");
        running.signal(signal);
        let next = house.serving(successor);
        assert_eq!(next.api, api, "{signal}");
        next.call(ALICE, "ListKeys", &[]).ok();
    }
}

/// U07: who asks while Keyward is told twice to end is answered, or was not asked in vain: nothing is executed unseen.
#[test]
fn nothing_is_executed_unseen() {
    let kms = Scripted::start(|_, _| vec![Act::Silence]);
    let house = plain(&kms.address, &[("notice_seconds = 0", "notice_seconds = 20")]);
    let mut running = house.start();
    thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|number| {
                let running = &running;
                scope.spawn(move || {
                    assert!(wait(|| kms_has(running, number)));
                    let mut stream = TcpStream::connect(&running.api).ok()?;
                    ask(&mut stream, &signed_v1(KIM, "ListSecrets", &[]))
                })
            })
            .collect();
        assert!(wait(|| kms.requests().len() >= 4));
        running.signal("TERM");
        running.written_with("a second signal ends at once");
        running.signal("TERM");
        let answered = asking.into_iter().filter_map(|it| it.join().unwrap()).count();
        assert!(answered >= kms.requests().len(), "{answered} of {}", kms.requests().len());
    });
    assert!(running.ended().success());
    let told = running.audit().iter().filter(|line| line["executed"] == "unknown").count();
    assert!(told >= kms.requests().len(), "{told} of {}", kms.requests().len());
}

/// Whether it is this one's turn to ask: a few at a time.
fn kms_has(running: &Running<'_>, number: usize) -> bool {
    number < 8 || running.everything_written().contains("a second signal ends at once")
}

/// Doors that the successor's settings do not have are closed, and addresses may change their purpose.
#[test]
fn a_successor_with_other_doors() {
    let kms = Scripted::always(r#"{"RequestId":"r"}"#);
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, other, third) = (free(), free(), free());
    let house = plain(
        &kms.address,
        &[("# handover = ", "handover = "), ("[limits]", "# [limits]"), ("notice_seconds", "# notice_seconds")],
    );
    let settings = house.read("config/keyward.toml").replacen("api = \"127.0.0.1:0\"", &format!("api = \"{one}\""), 1);
    let settings = settings.replacen("admin = \"127.0.0.1:0\"", &format!("admin = \"{other}\""), 1);
    let with_more =
        settings.replace("# health = \"0.0.0.0:7483\"", &format!("health = \"{third}\"\nsocket = \"../k.sock\""));
    house.write("config/keyward.toml", &with_more);
    let mut running = house.start();
    assert!(house.path("k.sock").exists() && TcpStream::connect(third).is_ok());
    let swapped = settings
        .replace(&one.to_string(), "x")
        .replace(&other.to_string(), &one.to_string())
        .replace("\"x\"", &format!("\"{other}\""));
    house.write("config/keyward.toml", &swapped);
    let successor = house.start_successor();
    running.signal("QUIT");
    let next = house.serving(successor);
    assert!(running.ended().success());
    assert_eq!((next.api.clone(), next.admin.clone()), (other.to_string(), one.to_string()));
    next.call(KIM, "ListSecrets", &[]).ok();
    assert!(!house.path("k.sock").exists());
    assert!(TcpStream::connect(third).is_err(), "nobody listens there any more");
}
