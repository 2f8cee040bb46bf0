use berth::cli::serve::{Origin, serve};
fn main() {
    let mut args = std::env::args().skip(1);
    let mut origin = Origin::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--config" => origin.file = args.next().map(Into::into),
            "--data-dir" => origin.flags.push(berth::config::Flag { flag: "--data-dir".into(), key: "data_dir".into(), text: args.next().unwrap() }),
            _ => {}
        }
    }
    println!("{:?}", serve(&origin, |_| {}));
}
