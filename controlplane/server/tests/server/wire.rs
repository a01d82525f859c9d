//! HTTP/2 by hand: frames that no client library would send.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DELTA_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// A connection that has said that it speaks HTTP/2.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(crate::house::PATIENCE)).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.write_all(PREFACE).unwrap();
        socket.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The type and flags of the next frame; none when the server closed the connection.
    pub(crate) fn frame(&mut self) -> Option<(u8, u8)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io::copy(&mut (&mut self.0).take(u64::from(len)), &mut io::sink()).ok()?;
        Some((head[3], head[4]))
    }

    /// Reads to the end that the server makes.
    pub(crate) fn read_to_close(&mut self) {
        while self.frame().is_some() {}
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The head of a call of the delta method.
pub(crate) fn call() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", DELTA_PATH),
        (":authority", "here"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.into_iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A header field as HPACK writes it when it is neither indexed nor compressed.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// The start of a gRPC message of this length.
pub(crate) fn prefix(len: u32) -> Vec<u8> {
    [&[0][..], &len.to_be_bytes()].concat()
}
