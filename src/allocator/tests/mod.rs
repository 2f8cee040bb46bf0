//! Tests of the whole room: recorded vectors, a slow oracle on small machines, streams of takes and returns.

mod model;
mod places;
mod properties;
mod sequences;
mod timing;
mod vectors;
