//! Passwords: the clear text that cannot be printed, what is kept of it, and the two functions between them.
//!
//! What is kept is the PHC string of argon2id that other tools read and write too. The work memory is an argument, so that
//! the caller allocates it once: half the time of a hash in fresh memory goes into page faults. Chance is an argument
//! as well (the salt). Deliberately not here: threads and queues, which are `server::hasher`'s.

use super::UserError;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Memory of one hash, in KiB: 19 MiB, the first line of OWASP's list for argon2id. More would slow log-ins down for
/// everybody before it slowed an attacker down much.
const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory, from the same line.
const PASSES: u32 = 2;
/// Lanes: one, since more threads per hash would only take turns with other log-ins.
const LANES: u32 = 1;
/// Bytes of a fresh hash.
const HASH_BYTES: usize = 32;

/// The most memory a kept hash may ask for, in KiB: 256 MiB, what the strongest common tool settings use.
const MEMORY_KIB_MAX: u32 = 262_144;
/// The most passes a kept hash may ask for.
const PASSES_MAX: u32 = 16;
/// The most lanes a kept hash may ask for.
const LANES_MAX: u32 = 8;

/// A password in clear text. It cannot be printed, and its bytes are overwritten when it is dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// The least bytes of a new password. What is long enough is the administrator's to say; the lock-out slows guessing.
    pub const BYTES_MIN: usize = 1;
    /// The most bytes of any password: long enough for a sentence, short enough that hashing it costs nothing extra.
    pub const BYTES_MAX: usize = 1024;

    /// A password somebody wants to have from now on.
    pub fn new(text: String) -> Result<Password, UserError> {
        let password = Password(Zeroizing::new(text));
        let bytes = password.0.len();
        if (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes) {
            return Ok(password);
        }
        Err(UserError::PasswordLength { bytes })
    }

    /// A password somebody tries; a short one is simply wrong, one that is too long is not worth the work.
    pub fn attempt(text: String) -> Result<Password, UserError> {
        let password = Password(Zeroizing::new(text));
        if password.0.len() > Self::BYTES_MAX { Err(UserError::AttemptTooLong) } else { Ok(password) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The work memory of a hash, allocated once and used again.
pub struct Memory(Vec<Block>);

impl Memory {
    /// Memory for hashes of the present cost.
    pub fn new() -> Memory {
        Memory(vec![Block::new(); MEMORY_KIB as usize])
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// What is kept of a password: `$argon2id$v=19$m=..,t=..,p=..$salt$hash`, checked to be within the caps.
#[derive(Clone, PartialEq, Eq)]
pub struct Phc {
    /// The costs it was made with.
    params: Params,
    /// The salt it was made with.
    salt: Salt,
    /// The hash itself. The type compares in constant time.
    hash: Output,
}

impl Phc {
    /// A hash of the present cost that no password is known for: checking an attempt against it takes as long as
    /// checking one for a real user, so the time of an answer does not tell who exists.
    pub fn dummy() -> Phc {
        Phc::salted([0; 16])
    }

    /// The same with a salt: what `hash_like` makes a new hash like.
    pub fn salted(salt: [u8; 16]) -> Phc {
        Phc { params: cost(), salt: salt_of(&salt), hash: output_of(&[0; HASH_BYTES]) }
    }

    /// How many times as long as one of the present cost it takes to be checked, about.
    pub fn cost_ratio(&self) -> f64 {
        let blocks = |m: u32, t: u32| f64::from(m) * f64::from(t);
        blocks(self.params.m_cost(), self.params.t_cost()) / blocks(MEMORY_KIB, PASSES)
    }
}

impl FromStr for Phc {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Phc, UserError> {
        let parts = PasswordHash::new(text).map_err(|_| UserError::BadHash("not a PHC string"))?;
        if parts.algorithm.as_str() != "argon2id" {
            return Err(UserError::BadHash("the algorithm is not argon2id"));
        }
        if parts.version != Some(Version::V0x13.into()) {
            return Err(UserError::BadHash("the version is not 19"));
        }
        let params = params_of(&parts.params)?;
        let salt = parts.salt.ok_or(UserError::BadHash("no salt"))?;
        let hash = parts.hash.ok_or(UserError::BadHash("no hash"))?;
        Ok(Phc { params, salt, hash })
    }
}

impl fmt::Display for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        write!(f, "$argon2id$v=19$m={m},t={t},p={p}${}${}", self.salt, self.hash)
    }
}

impl fmt::Debug for Phc {
    /// Without salt and hash: a log is read by more people than the journal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        write!(f, "Phc(m={m},t={t},p={p})")
    }
}

/// Makes what is kept of a new password. Takes about 13 ms.
pub fn hash(password: &Password, salt: [u8; 16], memory: &mut Memory) -> Phc {
    hash_like(password, &Phc::salted(salt), memory).expect("the present cost is within the library's limits")
}

/// The hash of a password with costs, salt and length of another, and so that very one if the password is the same; none if it
/// cannot be computed. Takes as long as those costs say.
pub fn hash_like(password: &Password, like: &Phc, memory: &mut Memory) -> Option<Phc> {
    let hash = output(password, &like.params, &like.salt, like.hash.len(), memory)?;
    Some(Phc { params: like.params.clone(), salt: like.salt, hash })
}

/// Whether this is the password of which `kept` was made. Takes as long as the costs in `kept` say.
pub fn verify(password: &Password, kept: &Phc, memory: &mut Memory) -> bool {
    hash_like(password, kept, memory).is_some_and(|made| made == *kept)
}

/// The hash of a password under these costs. A hash that needs more than the given memory, which only an imported one
/// does, gets memory of its own that is given back at once.
fn output(
    password: &Password,
    params: &Params,
    salt: &Salt,
    bytes: usize,
    memory: &mut Memory,
) -> Option<Output> {
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let (clear, salt) = (password.0.as_bytes(), salt.as_ref());
    let mut out = Zeroizing::new([0; Output::MAX_LENGTH]);
    let out = out.get_mut(..bytes)?;
    let done = match memory.0.get_mut(..blocks) {
        Some(enough) => argon2.hash_password_into_with_memory(clear, salt, out, enough),
        None => argon2.hash_password_into(clear, salt, out),
    };
    done.ok()?;
    Output::new(out).ok()
}

/// The costs of a fresh hash.
fn cost() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the present cost is within the library's limits")
}

/// A salt of 16 bytes.
fn salt_of(bytes: &[u8; 16]) -> Salt {
    Salt::new(bytes).expect("16 bytes are within the limits of a salt")
}

/// A hash of the usual length.
fn output_of(bytes: &[u8; HASH_BYTES]) -> Output {
    Output::new(bytes).expect("32 bytes are within the limits of a hash")
}

/// Reads `m`, `t` and `p`, each exactly once and nothing else, and holds them to the caps: a log-in must not be able to
/// cost more than this, whoever wrote the hash.
fn params_of(text: &ParamsString) -> Result<Params, UserError> {
    let number = |name| text.get_decimal(name).ok_or(UserError::BadHash("m, t or p is missing or no number"));
    let (m, t, p) = (number("m")?, number("t")?, number("p")?);
    if text.iter().count() != 3 {
        return Err(UserError::BadHash("it has more parameters than m, t and p"));
    }
    if m > MEMORY_KIB_MAX || t > PASSES_MAX || p > LANES_MAX {
        return Err(UserError::BadHash("it costs more than m=262144,t=16,p=8 to check"));
    }
    Params::new(m, t, p, None).map_err(|_| UserError::BadHash("m, t or p is too small"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of the argon2 reference implementation (its published tests): password, what is kept of it.
    const REFERENCE: &[(&str, &str)] = &[
        ("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
        ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
        (
            "password",
            "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg",
        ),
        (
            "differentpassword",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94",
        ),
        (
            "password",
            "$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw",
        ),
    ];

    fn attempt(text: &str) -> Password {
        Password::attempt(text.into()).unwrap()
    }

    #[test]
    fn hashes_of_the_reference_are_read_written_and_checked() {
        let mut memory = Memory::new();
        for (password, text) in REFERENCE {
            let kept: Phc = text.parse().unwrap();
            assert_eq!(kept.to_string(), *text);
            assert!(verify(&attempt(password), &kept, &mut memory), "{text}");
        }
        let kept: Phc = REFERENCE[0].1.parse().unwrap();
        for wrong in ["", "Password", "password ", "passwor", "sassword", "password\0"] {
            assert!(!verify(&attempt(wrong), &kept, &mut memory), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_hashed_is_verified_and_nothing_else() {
        let mut memory = Memory::new();
        let password = Password::new("correct horse".into()).unwrap();
        let kept = hash(&password, [7; 16], &mut memory);
        let text = kept.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{text}");
        assert_eq!(text.parse::<Phc>().unwrap(), kept);
        assert!(verify(&password, &kept, &mut memory));
        assert!(!verify(&attempt("correct horsf"), &kept, &mut memory));
        assert_ne!(hash(&password, [8; 16], &mut memory), kept);
    }

    #[test]
    fn memory_used_before_changes_nothing() {
        let (mut used, kept) = (Memory::new(), REFERENCE[1].1.parse().unwrap());
        verify(&attempt("something else"), &REFERENCE[0].1.parse().unwrap(), &mut used);
        assert!(verify(&attempt("password"), &kept, &mut used));
        let bigger: Phc = REFERENCE[2].1.parse().unwrap();
        assert!(verify(&attempt("password"), &bigger, &mut used));
        assert_eq!(used.0.len(), MEMORY_KIB as usize, "a bigger hash must not keep its memory");
    }

    #[test]
    fn nobody_gets_in_by_the_dummy_and_it_costs_what_a_user_costs() {
        let (dummy, mut memory) = (Phc::dummy(), Memory::new());
        assert!(!verify(&attempt(""), &dummy, &mut memory));
        let real = hash(&attempt("password"), [1; 16], &mut memory);
        assert_eq!(dummy.params, real.params);
        assert_eq!(dummy.hash.len(), real.hash.len());
        assert_eq!(dummy.to_string().parse::<Phc>().unwrap(), dummy);
    }

    #[test]
    fn lengths_are_held() {
        for (bytes, ok) in [(0, false), (1, true), (1024, true), (1025, false)] {
            assert_eq!(Password::new("x".repeat(bytes)).is_ok(), ok, "{bytes}");
        }
        for (bytes, ok) in [(0, true), (7, true), (1024, true), (1025, false)] {
            assert_eq!(Password::attempt("x".repeat(bytes)).is_ok(), ok, "{bytes}");
        }
        assert_eq!(Password::new("".into()).unwrap_err(), UserError::PasswordLength { bytes: 0 });
    }

    #[test]
    fn passwords_and_hashes_are_not_printed() {
        let password = Password::new("hunter2hunter2".into()).unwrap();
        assert_eq!(format!("{password:?}"), "Password");
        let kept: Phc = REFERENCE[0].1.parse().unwrap();
        assert_eq!(format!("{kept:?}"), "Phc(m=256,t=2,p=1)");
    }

    #[test]
    fn hashes_that_cannot_be_checked_are_refused() {
        let salted = |head: &str| {
            format!("{head}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4").parse::<Phc>()
        };
        assert!(salted("$argon2id$v=19$m=256,t=2,p=1").is_ok());
        assert!(salted("$argon2id$v=19$m=262144,t=16,p=8").is_ok());
        let rows = [
            ("$argon2i$v=19$m=256,t=2,p=1", "the algorithm is not argon2id"),
            ("$argon2d$v=19$m=256,t=2,p=1", "the algorithm is not argon2id"),
            ("$argon2id$v=16$m=256,t=2,p=1", "the version is not 19"),
            ("$argon2id$m=256,t=2,p=1", "the version is not 19"),
            ("$argon2id$v=19$m=256,t=2", "m, t or p is missing or no number"),
            ("$argon2id$v=19$m=x,t=2,p=1", "m, t or p is missing or no number"),
            ("$argon2id$v=19$m=256,t=2,p=1,keyid=8PDw8A", "it has more parameters than m, t and p"),
            ("$argon2id$v=19$m=262145,t=2,p=1", "it costs more than m=262144,t=16,p=8 to check"),
            ("$argon2id$v=19$m=256,t=17,p=1", "it costs more than m=262144,t=16,p=8 to check"),
            ("$argon2id$v=19$m=256,t=2,p=9", "it costs more than m=262144,t=16,p=8 to check"),
            ("$argon2id$v=19$m=7,t=2,p=1", "m, t or p is too small"),
            ("$argon2id$v=19$m=63,t=2,p=8", "m, t or p is too small"),
            ("$argon2id$v=19$m=256,t=0,p=1", "m, t or p is too small"),
            ("$argon2id$v=19$m=256,t=2,p=0", "m, t or p is too small"),
            ("argon2id$v=19$m=256,t=2,p=1", "not a PHC string"),
            ("$argon2id$v=19$m=99999999999,t=2,p=1", "m, t or p is missing or no number"),
        ];
        for (head, what) in rows {
            assert_eq!(salted(head), Err(UserError::BadHash(what)), "{head}");
        }
        for text in
            ["", "$", "plain text", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5$"]
        {
            assert_eq!(text.parse::<Phc>(), Err(UserError::BadHash("not a PHC string")), "{text}");
        }
        let bare = "$argon2id$v=19$m=256,t=2,p=1".parse::<Phc>();
        assert_eq!(bare, Err(UserError::BadHash("no salt")));
        let unhashed = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ".parse::<Phc>();
        assert_eq!(unhashed, Err(UserError::BadHash("no hash")));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,120}") {
            let _ = text.parse::<Phc>();
            let _ = format!("$argon2id$v=19${text}").parse::<Phc>();
        }

        #[test]
        fn what_is_written_is_read_back(
            m in 64u32..=MEMORY_KIB_MAX, t in 1..=PASSES_MAX, p in 1..=LANES_MAX,
            salt in proptest::collection::vec(0u8.., 8..=48), hash in proptest::collection::vec(0u8.., 10..=64),
        ) {
            let kept = Phc {
                params: Params::new(m, t, p, None).unwrap(),
                salt: Salt::new(&salt).unwrap(),
                hash: Output::new(&hash).unwrap(),
            };
            proptest::prop_assert_eq!(kept.to_string().parse::<Phc>(), Ok(kept));
        }
    }
}
