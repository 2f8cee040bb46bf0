// A message as something to run elsewhere.

/** A shell's word. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The message by POST /api. */
export function curl(origin, text) {
  return `curl -sS ${quoted(`${origin}/api`)} -H 'Content-Type: application/json' --data-raw ${quoted(text)}\n`;
}

/** The message over TCP, by nothing but Python's own library. */
export function python(address, text) {
  const [, host, port] = /^(.*):(\d+)$/.exec(address);
  return `import gzip, json, socket, zlib

# The message names a session: whoever has it may do what its user may, until it ends.
MESSAGE = json.loads(${JSON.stringify(text)})


def frame(message):
    return gzip.compress(json.dumps(message).encode()) + b"<EOF>"


def messages(peer):
    """Frames end where their gzip stream does, and <EOF> follows."""
    rest = b""
    while True:
        inflate = zlib.decompressobj(31)
        text = b""
        while not inflate.eof or len(inflate.unused_data) < 5:
            piece, rest = rest or peer.recv(65536), b""
            if not piece:
                return
            if inflate.eof:
                # Behind the end of its stream zlib keeps what comes.
                inflate.decompress(piece)
            else:
                text += inflate.decompress(piece)
        assert inflate.unused_data.startswith(b"<EOF>")
        rest = inflate.unused_data[5:]
        yield json.loads(text)


with socket.create_connection((${JSON.stringify(host.replace(/^\[|\]$/g, ""))}, ${port})) as peer:
    heard = messages(peer)
    next(heard)  # the greeting
    peer.sendall(frame(MESSAGE))
    print(json.dumps(next(heard), indent=2))
`;
}
