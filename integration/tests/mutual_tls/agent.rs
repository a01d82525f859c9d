//! What an agent does for its Envoy: serves it a certificate and the roots of the mesh over SDS.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ca::{AcceptedKeys, Authority, KeyAlgorithm, PrivateKey, Serial, Terms, VerifiedRequest, Workload, sign};
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Request, Response, body::Frame, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use proto::{
    envoy::{
        config::core::v3::{DataSource, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate, secret::Type},
        service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
    },
    pack,
};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};

/// The length of what stands before a message of gRPC, in bytes.
const PREFIX_LEN: usize = 5;

/// An agent for one workload. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Agent {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// What it serves.
#[derive(Clone)]
struct Secrets {
    chain: String,
    key: String,
    roots: String,
}

impl Agent {
    /// Serves at `address` a certificate of `identity`, signed by `authority`.
    pub(crate) async fn start(authority: &Authority, identity: &str, address: SocketAddr) -> Result<Self> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let csr = rcgen::CertificateParams::default().serialize_request(&key)?;
        let accepted = AcceptedKeys { ecdsa_p384: false, rsa: false, ed25519: false };
        let request = VerifiedRequest::from_der(csr.der(), accepted)?;
        let now = OffsetDateTime::now_utc();
        let terms = Terms { now, lifetime: time::Duration::hours(1), serial: Serial::from_random([2; 16]) };
        let issued = sign(authority, &request, &Workload::new(identity.parse()?), terms)?;
        let secrets = Secrets {
            chain: issued.presented_pem(),
            key: key.to_pem().as_str().to_owned(),
            roots: authority.bundle().to_pem(),
        };
        let listener = TcpListener::bind(address).await.context("bind the agent")?;
        let address = listener.local_addr()?;
        Ok(Self { address, serving: tokio::spawn(serve(listener, secrets)) })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, secrets: Secrets) {
    while let Ok((stream, _)) = listener.accept().await {
        let secrets = secrets.clone();
        let service = service_fn(move |request| answer(request, secrets.clone()));
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}

/// One stream of gRPC is for one secret, which is sent once: certificates here outlive the test.
async fn answer(
    mut request: Request<Incoming>,
    secrets: Secrets,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>> {
    let asked = first(request.body_mut()).await?;
    let response = secrets.response(&asked);
    let mut frame = BytesMut::with_capacity(PREFIX_LEN + response.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(response.encoded_len())?);
    response.encode(&mut frame)?;
    let sent = futures::stream::iter([Ok(Frame::data(frame.freeze()))]);
    // The stream lives as long as the request does.
    let open = futures::stream::once(async move {
        while request.body_mut().frame().await.is_some_and(|frame| frame.is_ok()) {}
        Ok(Frame::data(Bytes::new()))
    });
    let body = StreamBody::new(sent.chain(open));
    Ok(Response::builder().header("content-type", "application/grpc").body(body)?)
}

/// The first message of a stream.
async fn first(body: &mut Incoming) -> Result<DiscoveryRequest> {
    let mut read = BytesMut::new();
    loop {
        if let Some(mut prefix) = read.get(..PREFIX_LEN) {
            ensure!(prefix.get_u8() == 0, "compressed messages are not understood");
            let end = PREFIX_LEN + usize::try_from(prefix.get_u32())?;
            if let Some(message) = read.get(PREFIX_LEN..end) {
                return Ok(DiscoveryRequest::decode(message)?);
            }
        }
        let frame = body.frame().await.context("the stream ended before its first message")??;
        read.extend_from_slice(frame.data_ref().context("trailers before the first message")?);
    }
}

impl Secrets {
    fn response(&self, asked: &DiscoveryRequest) -> DiscoveryResponse {
        let text = |text: &str| {
            let specifier = Some(Specifier::InlineString(text.to_owned()));
            Some(DataSource { specifier, ..DataSource::default() })
        };
        let secret = |name: &String| {
            let content = match name.as_str() {
                "default" => Type::TlsCertificate(TlsCertificate {
                    certificate_chain: text(&self.chain),
                    private_key: text(&self.key),
                    ..TlsCertificate::default()
                }),
                "ROOTCA" => Type::ValidationContext(CertificateValidationContext {
                    trusted_ca: text(&self.roots),
                    ..CertificateValidationContext::default()
                }),
                _ => return None,
            };
            Some(pack::any(&Secret { name: name.clone(), r#type: Some(content) }))
        };
        DiscoveryResponse {
            version_info: "1".to_owned(),
            resources: asked.resource_names.iter().filter_map(secret).collect(),
            type_url: asked.type_url.clone(),
            nonce: "1".to_owned(),
            ..DiscoveryResponse::default()
        }
    }
}
