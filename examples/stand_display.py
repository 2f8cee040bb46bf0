"""A display for a disc stand, standard library only: what waits to be burnt, and what the burners do, as it changes.

    python3 examples/stand_display.py [HOST:PORT] [UPDATES]

It ends after so many updates, if a number is given.
"""
import socket
import sys
import uuid


def messages(connection):
    """Messages as lists of records, each a list of fields."""
    buffer = b""
    while piece := connection.recv(65536):
        *whole, buffer = (buffer + piece).split(b"\r\n\r\n")
        for message in whole:
            yield [record.split("\t") for record in message.decode().split("\r\n")]


def show(queue, burners):
    print("\nqueue:" if queue else "\nqueue: empty")
    for number, image, priority, *_ in queue:
        print(f"  {number:>6}  {image}  priority {priority}")
    print("burners:" if burners else "burners: none")
    for uid, name, medium, *status in burners:
        print(f"  {name or uid[:8]:<12} {medium:<4} {' '.join(status)}", flush=True)


def main():
    host, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:1337").rsplit(":", 1)
    updates, seen = int(sys.argv[2]) if len(sys.argv) > 2 else -1, {}
    with socket.create_connection((host, int(port))) as connection:
        for (word, *first), *more in messages(connection):
            if word == "IDENT":
                connection.sendall(f"ID\tV1\tDISPLAY\t{uuid.uuid4().hex}\r\n\r\n".encode())
            elif word == "CAPAB":
                connection.sendall(b"CAP\r\n\r\nQREPORT\r\n\r\nSREPORT\r\n\r\n")
            elif word in ("QLIST", "SLIST") and seen.get(word) != (rows := [first] * bool(first) + more):
                seen[word] = rows
                if len(seen) == 2:
                    show(seen["QLIST"], seen["SLIST"])
                    updates -= 1
            if updates == 0:
                return


if __name__ == "__main__":
    main()
