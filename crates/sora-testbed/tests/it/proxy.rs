use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sora_testbed::{Direction, Fault, FaultAction, FaultProxy, Postgres};

use crate::servers::{client, one};

/// A server that reads all that comes, answers each byte with its double, and returns what it read.
fn server(connections: usize) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = move || {
        let mut all = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut read = Vec::new();
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                read.extend_from_slice(&buffer[..length]);
                let answer: Vec<u8> = buffer[..length].iter().map(|byte| byte * 2).collect();
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
            all.push(read);
        }
        all
    };
    (port, thread::spawn(serve))
}

/// Sends five bytes, and returns what came back until the end, and how it ended.
fn exchange(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let _ = stream.write_all(&[1, 2, 3, 4, 5]);
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < 5 {
        match stream.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            Ok(_) => return (answer, None),
            Err(error) => return (answer, Some(error.kind())),
        }
    }
    (answer, None)
}

#[test]
fn connections_are_cut_where_told() {
    use Direction::{ToClient, ToServer};
    let reset = Some(ErrorKind::ConnectionReset);
    for (direction, after_bytes, action, answer, ended, asked) in [
        (ToServer, 0, FaultAction::Close, &[][..], None, &[][..]),
        (ToServer, 0, FaultAction::Reset, &[], reset, &[]),
        (ToServer, 3, FaultAction::HalfClose, &[2, 4, 6], None, &[1, 2, 3]),
        (ToClient, 0, FaultAction::Close, &[], None, &[1, 2, 3, 4, 5]),
        (ToClient, 0, FaultAction::Reset, &[], reset, &[1, 2, 3, 4, 5]),
        (ToClient, 2, FaultAction::Close, &[2, 4], None, &[1, 2, 3, 4, 5]),
        (ToClient, 2, FaultAction::HalfClose, &[2, 4], None, &[1, 2, 3, 4, 5]),
        (
            ToClient,
            2,
            FaultAction::Delay(Duration::ZERO),
            &[2, 4, 6, 8, 10],
            None,
            &[1, 2, 3, 4, 5],
        ),
        (ToClient, 5, FaultAction::Reset, &[2, 4, 6, 8, 10], None, &[1, 2, 3, 4, 5]),
    ] {
        let (port, server) = server(1);
        let proxy = FaultProxy::start("127.0.0.1", port).expect("a proxy");
        proxy.arm(Fault { direction, after_bytes, action });
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("connects");
        let found = exchange(&mut stream);
        let case = format!("{direction:?} {after_bytes} {action:?}");
        assert_eq!(found, (answer.to_vec(), ended), "{case}");
        assert_eq!(proxy.fired(), usize::from(after_bytes < 5), "{case}");
        drop((stream, proxy));
        assert_eq!(server.join().expect("the server"), [asked.to_vec()], "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stalled_goes_on_when_it_is_cleared() {
    let (port, server) = server(2);
    let proxy = FaultProxy::start("127.0.0.1", port).expect("a proxy");
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).expect("connects");
    for always in [false, true] {
        match always {
            true => proxy.stall(Direction::ToClient),
            false => proxy.arm(Fault {
                direction: Direction::ToClient,
                after_bytes: 1,
                action: FaultAction::Stall,
            }),
        }
        let mut stream = connect();
        stream.write_all(&[7]).expect("sent");
        if !always {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the first byte passes");
            stream.write_all(&[8]).expect("sent");
            proxy.wait_fired(1).await;
        }
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
        assert!(stream.read(&mut [0]).is_err(), "nothing passes");
        stream.set_read_timeout(None).expect("set");
        proxy.clear();
        stream.read_exact(&mut [0]).expect("it passes");
    }
    drop(proxy);
    assert_eq!(server.join().expect("the server"), [vec![7, 8], vec![7]]);
}

#[test]
fn connections_are_refused_and_reset() {
    let (port, server) = server(1);
    let proxy = FaultProxy::start("127.0.0.1", port).expect("a proxy");
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).expect("connects");
    let mut before = connect();
    assert_eq!(exchange(&mut before).0.len(), 5);
    proxy.refuse(true);
    assert!(connect().read_exact(&mut [0]).is_err());
    proxy.refuse(false);
    proxy.reset_all();
    let error = before.read_exact(&mut [0]).expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((proxy.connections(), proxy.passed(Direction::ToServer)), (2, 5));
    server.join().expect("the server");
}

#[tokio::test]
async fn an_answer_is_lost_behind_its_commit() {
    let postgres = Postgres::shared().expect("a server");
    let database = postgres.database().expect("a database");
    database.execute("CREATE TABLE t (a int)").expect("created");
    let proxy = FaultProxy::start(postgres.host(), postgres.port()).expect("a proxy");
    let through = client(&proxy.url(&database.url()).expect("an address")).await;
    assert_eq!(one(&through, "SELECT 1").await, "1");
    proxy.arm(Fault { direction: Direction::ToClient, after_bytes: 0, action: FaultAction::Reset });
    assert!(through.batch_execute("INSERT INTO t VALUES (1)").await.is_err());
    proxy.wait_fired(1).await;
    let direct = client(&database.url()).await;
    assert_eq!(one(&direct, "SELECT count(*) FROM t").await, "1");
}
