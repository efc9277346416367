//! What a reactor promises, on both back ends.

use std::time::{Duration, Instant};

use reactor::{Backend, Builder, Interest, Missed, Next, Reactor, zmq};

#[test]
fn echo() {
    for backend in [Backend::Mio, Backend::Polling] {
        let context = zmq::Context::new();
        let mut reactor: Reactor<u32> = Builder::new()
            .backend(backend)
            .signals(false)
            .build()
            .unwrap();
        let server = context.socket(zmq::ROUTER).unwrap();
        server.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = server.get_last_endpoint().unwrap().unwrap();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "server",
                server,
                Interest::READ,
                move |count, scope, key, _| {
                    while scope.recv(key, &mut frames)? {
                        scope.send(key, frames.drain(..))?;
                        *count += 1;
                    }
                    Ok(())
                },
            )
            .unwrap();
        let client = std::thread::spawn(move || {
            let socket = context.socket(zmq::REQ).unwrap();
            socket.connect(&endpoint).unwrap();
            for round in 0..1000 {
                socket.send(&format!("{round}"), 0).unwrap();
                assert_eq!(socket.recv_string(0).unwrap().unwrap(), format!("{round}"));
            }
        });
        let start = Instant::now();
        reactor
            .scope()
            .add_interval("tick", Duration::from_millis(1), Missed::Skip, |_, _, _| {
                Ok(())
            })
            .unwrap();
        let now = reactor.scope().now();
        reactor
            .scope()
            .add_timer("once", now, |_, _, _| Ok(Next::Done))
            .unwrap();
        let mut count = 0;
        reactor
            .run_until(&mut count, |count| *count == 1000)
            .unwrap();
        client.join().unwrap();
        eprintln!("{backend:?}: {:?}", start.elapsed());
    }
}
