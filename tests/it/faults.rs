//! What can go wrong under the real server, made to go wrong: a disk that is full or fails (`disk`), files that were
//! damaged after a crash (`damage`), a directory that cannot be used (`place`).

mod damage;
mod disk;
mod place;

/// A lab of one torus and one pool whose boards obey at once.
const LAB: &str = r#"
name = "faults"
[native]
listen = "127.0.0.1:0"
guests = "user"
[[machine]]
name = "m"
shape = "triads"
width = 4
height = 2
controller = "simulated"
[[machine]]
name = "devices"
shape = "pool"
count = 8
controller = "simulated"
"#;
