//! Many bytes in one direction, with as little work at the ends as can be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use tests::Outcome;

const CHUNK_BYTES: usize = 256 << 10;

/// Sends to each client, one after the other, as many bytes as it asks for.
pub(crate) fn serve(listen: SocketAddr) -> Outcome<()> {
    let listener = TcpListener::bind(listen).map_err(|error| format!("{listen}: {error}"))?;
    let chunk = vec![7; CHUNK_BYTES];
    loop {
        let (client, _) = listener.accept().map_err(|error| error.to_string())?;
        // Who leaves early is no reason to end.
        let _ = send(client, &chunk);
    }
}

fn send(mut client: TcpStream, chunk: &[u8]) -> std::io::Result<()> {
    let mut wanted = [0; 8];
    client.read_exact(&mut wanted)?;
    let mut left = u64::from_be_bytes(wanted);
    while left > 0 {
        let count = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        client.write_all(&chunk[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Asks for so many bytes and reads them; the seconds that this took.
pub(crate) fn ask(server: SocketAddr, bytes: u64) -> Outcome<f64> {
    receive(server, bytes).map_err(|error| format!("{server}: {error}"))
}

fn receive(server: SocketAddr, bytes: u64) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(server)?;
    let began = Instant::now();
    stream.write_all(&bytes.to_be_bytes())?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::Error::other(format!("{left} bytes are missing"))),
            count => left -= count as u64,
        }
    }
    Ok(began.elapsed().as_secs_f64())
}
