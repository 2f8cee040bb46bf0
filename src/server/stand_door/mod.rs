//! The door for clients of 'buntustand: burners of discs, displays and command clients.
//!
//! `connection` is the socket and its times; `talk` what messages come to; `burner` the part of a burner, which is an agent of the
//! stand's pool with one board; `stand` what all of them share; `lists` what displays are told, rendered once for all;
//! `images` the files of images and what is known of them; `simulated` the burners of the server's own, which come by this door.

mod burner;
mod connection;
mod images;
mod lists;
mod simulated;
mod stand;
mod talk;

pub use connection::StandConnection;
pub use stand::Stand;

use super::house::House;
use async_std::task;
use std::net::SocketAddr;
use std::sync::Arc;

/// Finds the images that are kept, and starts whoever works behind an open door: the teller of displays and the burners that only play.
pub fn open(house: &Arc<House>, address: SocketAddr) -> Result<(), String> {
    let config = house.config();
    house
        .stand
        .images
        .find(&config.data_dir)
        .map_err(|error| format!("the images of the stand door: {error}"))?;
    lists::start_telling(house);
    for number in 0..config.stand.simulated_burners {
        task::spawn(simulated::serve(house.clone(), address, number as u64));
    }
    Ok(())
}
