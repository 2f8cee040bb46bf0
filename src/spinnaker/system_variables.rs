//! The variables of a chip's monitor: 256 bytes at a fixed address, of which the first 128 travel in the boot image.
//!
//! All numbers low byte first. `TABLE` is the layout; `SystemVariables` is the block itself.

/// Where the block lies in the memory of every chip.
pub const ADDRESS: u32 = 0xF500_7F00;

/// Bytes of the block.
pub const BYTES: usize = 256;

/// Bytes of it that travel in a boot image.
pub const BOOT_BYTES: usize = 128;

/// One variable of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name, as tools print it.
    pub name: &'static str,
    /// Where it starts in the block.
    pub offset: usize,
    /// How many bytes it has: 1, 2, 4 and 8 are numbers, others are just bytes.
    pub bytes: usize,
    /// What it is before anybody changes it.
    pub default: u64,
}

const fn row(name: &'static str, offset: usize, bytes: usize, default: u64) -> Variable {
    Variable { name, offset, bytes, default }
}

/// The layout, without a gap.
pub const TABLE: &[Variable] = &[
    row("y", 0, 1, 0),
    row("x", 1, 1, 0),
    row("y_size", 2, 1, 0),
    row("x_size", 3, 1, 0),
    row("debug_y", 4, 1, 0),
    row("debug_x", 5, 1, 0),
    row("is_peer_to_peer_available", 6, 1, 0),
    row("nearest_neighbour_last_id", 7, 1, 0),
    row("nearest_ethernet_y", 8, 1, 0),
    row("nearest_ethernet_x", 9, 1, 0),
    row("hardware_version", 10, 1, 0),
    row("is_ethernet_available", 11, 1, 0),
    row("p2p_b_repeats", 12, 1, 4),
    row("log_peer_to_peer_sequence_length", 13, 1, 4),
    row("clock_divisor", 14, 1, 51),
    row("time_phase_scale", 15, 1, 0),
    row("clock_milliseconds", 16, 8, 0),
    row("time_milliseconds", 24, 2, 0),
    row("ltpc_period", 26, 2, 0),
    row("unix_timestamp", 28, 4, 0),
    row("router_time_phase_timer", 32, 4, 0),
    row("cpu_clock_mhz", 36, 2, 200),
    row("sdram_clock_frequency_mhz", 38, 2, 130),
    row("nearest_neighbour_forward", 40, 1, 63),
    row("nearest_neighbour_retry", 41, 1, 0),
    row("link_peek_timeout_microseconds", 42, 1, 200),
    row("led_half_period_10_ms", 43, 1, 1),
    row("netinit_bc_wait_time", 44, 1, 50),
    row("netinit_phase", 45, 1, 0),
    row("p2p_root_y", 46, 1, 0),
    row("p2p_root_x", 47, 1, 0),
    row("led_0", 48, 4, 1),
    row("led_1", 52, 4, 0),
    row("clock_drift", 56, 4, 0),
    row("random_seed", 60, 4, 0),
    row("is_root_chip", 64, 1, 0),
    row("n_shared_message_buffers", 65, 1, 7),
    row("nearest_neighbour_delay_us", 66, 1, 20),
    row("software_watchdog_count", 67, 1, 0),
    row("padding_2", 68, 4, 0),
    row("system_ram_heap_address", 72, 4, 1024),
    row("sdram_heap_address", 76, 4, 0),
    row("iobuf_size", 80, 4, 16384),
    row("system_sdram_bytes", 84, 4, 8388608),
    row("system_buffer_words", 88, 4, 32768),
    row("boot_signature", 92, 4, 0),
    row("nearest_neighbour_memory_pointer", 96, 4, 0),
    row("lock", 100, 1, 0),
    row("links_available", 101, 1, 63),
    row("last_biff_id", 102, 1, 0),
    row("board_test_flags", 103, 1, 0),
    row("shared_message_first_free_address", 104, 4, 0),
    row("shared_message_count_in_use", 108, 2, 0),
    row("shared_message_maximum_used", 110, 2, 0),
    row("user_temp_0", 112, 4, 0),
    row("user_temp_1", 116, 4, 0),
    row("user_temp_2", 120, 4, 0),
    row("user_temp_4", 124, 4, 0),
    row("status_map", 128, 20, 0),
    row("physical_to_virtual_core_map", 148, 20, 0),
    row("virtual_to_physical_core_map", 168, 20, 0),
    row("n_working_cores", 188, 1, 0),
    row("n_scamp_working_cores", 189, 1, 0),
    row("padding_3", 190, 2, 0),
    row("sdram_base_address", 192, 4, 0),
    row("system_ram_base_address", 196, 4, 0),
    row("system_sdram_base_address", 200, 4, 0),
    row("cpu_information_base_address", 204, 4, 0),
    row("system_sdram_heap_address", 208, 4, 0),
    row("router_table_copy_address", 212, 4, 0),
    row("peer_to_peer_hop_table_address", 216, 4, 0),
    row("allocated_tag_table_address", 220, 4, 0),
    row("first_free_router_entry", 224, 2, 0),
    row("n_active_peer_to_peer_addresses", 226, 2, 0),
    row("app_data_table_address", 228, 4, 0),
    row("shared_message_buffer_address", 232, 4, 0),
    row("monitor_mailbox_flags", 236, 4, 0),
    row("ethernet_ip_address", 240, 4, 0),
    row("fixed_route_copy", 244, 4, 0),
    row("board_info", 248, 4, 0),
    row("padding_4", 252, 4, 0),
];

/// The block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemVariables([u8; BYTES]);

impl Default for SystemVariables {
    fn default() -> SystemVariables {
        let mut block = SystemVariables([0; BYTES]);
        TABLE.iter().for_each(|variable| block.write(variable, variable.default));
        block
    }
}

/// A name that no variable of numbers has, or a number too large for the one that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchVariable;

impl SystemVariables {
    /// Reads the block as it lies in memory.
    pub fn of_bytes(bytes: [u8; BYTES]) -> SystemVariables {
        SystemVariables(bytes)
    }

    /// What the root chip is booted with: its board's version, when, and how its LEDs are wired.
    pub fn for_boot(hardware_version: u8, unix_time_s: u32, led_0: u32) -> SystemVariables {
        let mut block = SystemVariables::default();
        let values = [
            ("hardware_version", u64::from(hardware_version)),
            ("unix_timestamp", unix_time_s.into()),
            ("boot_signature", unix_time_s.into()),
            ("led_0", led_0.into()),
            ("is_root_chip", 1),
        ];
        for (name, value) in values {
            if let Some(variable) = variable(name) {
                block.write(variable, value);
            }
        }
        block
    }

    /// The block as it lies in memory.
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// A variable, if it is a number.
    pub fn value(&self, name: &str) -> Option<u64> {
        let variable = variable(name)?;
        let stored = self.0.get(variable.offset..variable.offset + variable.bytes)?;
        let mut number = [0; 8];
        number.get_mut(..variable.bytes)?.copy_from_slice(stored);
        Some(u64::from_le_bytes(number))
    }

    /// Changes a variable, if it is a number that can be so large.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), NoSuchVariable> {
        let variable = variable(name).ok_or(NoSuchVariable)?;
        let fits = variable.bytes >= 8 || value >> (8 * variable.bytes) == 0;
        fits.then(|| self.write(variable, value)).ok_or(NoSuchVariable)
    }

    fn write(&mut self, variable: &Variable, value: u64) {
        let bytes = value.to_le_bytes();
        let stored = self.0.iter_mut().skip(variable.offset).take(variable.bytes);
        stored.zip(bytes).for_each(|(stored, byte)| *stored = byte);
    }
}

/// A number of the block by its name.
fn variable(name: &str) -> Option<&'static Variable> {
    TABLE.iter().find(|variable| variable.name == name && variable.bytes <= 8)
}
