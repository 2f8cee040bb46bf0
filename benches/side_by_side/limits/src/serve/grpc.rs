//! A tonic server with one unary call that sends its message back: one thread, nothing else in it.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The message, both ways.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    /// Who speaks.
    #[prost(string, tag = "1")]
    pub session: String,
    /// What is called.
    #[prost(string, tag = "2")]
    pub fname: String,
}

/// The call.
struct Echo;

impl UnaryService<Note> for Echo {
    type Response = Note;
    type Future = Ready<Result<Response<Note>, Status>>;

    fn call(&mut self, request: Request<Note>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

/// The service, as a router wants it.
#[derive(Clone)]
struct Notes;

impl NamedService for Notes {
    const NAME: &'static str = crate::talk::grpc::SERVICE;
}

impl Service<http::Request<Body>> for Notes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<Note, Note>::default()).unary(Echo, request).await) })
    }
}

/// Serves for ever.
pub fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        let incoming = tokio_stream::StreamExt::map(TcpListenerStream::new(listener), |stream| {
            stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        });
        Ok(Server::builder().add_service(Notes).serve_with_incoming(incoming).await?)
    })
}
