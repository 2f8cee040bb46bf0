use berth::*;
use std::sync::Arc;
struct NoLog;
impl server::LogLevel for NoLog { fn level(&self) -> String { "info".into() } fn set_level(&self, _: &str) -> Result<(), String> { Ok(()) } }
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file = std::env::args().nth(1).map(|p| std::fs::read_to_string(p).unwrap());
    let config = config::Config::load(file.as_deref(), &[], &[]).unwrap();
    let end = async_std::task::block_on(async {
        let server = server::Server::open(server::Setup { config, source: None, journal: Box::new(journal::MemoryJournal::default()), clock: clock::Clock::system(), log: Arc::new(NoLog), first_password: Some("/tmp/berth-pw".into()) }).await.unwrap();
        println!("{:?}", server.native_address());
        server.serve().await
    });
    println!("{end:?}");
}
