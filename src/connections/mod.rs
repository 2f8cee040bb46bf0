//! Conversations with SpiNNaker hardware over UDP: sockets, time-outs and errors around the packets of `spinnaker`.
