"""Verifies exports and receipts of Butt-Dial's audit log offline: python3 verify.py FILE... [--vkey KEY]. Format: AUDIT.md.

Only the standard library. Pin KEY (from /.well-known/butt-dial-audit-key/ORG): without it, the key of the file itself is used."""
import base64, hashlib, json, sys

P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()
def check(is_right, reason):
    if not is_right:
        raise ValueError(reason)
def add(a, b):  # points of Ed25519 in extended coordinates (RFC 8032, 5.1.4)
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(n, point):
    total = (0, 1, 1, 0)
    for bit in bin(n)[2:]:
        total = add(add(total, total), point) if bit == "1" else add(total, total)
    return total
def decode(data):
    y = int.from_bytes(data, "little")
    sign, y = divmod(y, 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    check(y < P and x * x % P == square, "no point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P
def is_signed(key, text, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + key + text).digest(), "little") % Q
    base = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    left, right = times(s, base), add(decode(r), times(k, decode(key)))
    return s < Q and all((left[n] * right[2] - right[n] * left[2]) % P == 0 for n in (0, 1))
def open_checkpoint(note, vkey):
    name, key_id, key = vkey.split("+", 2)
    key = base64.b64decode(key)
    check(key[:1] == b"\1" and sha(name.encode(), b"\n", key)[:4].hex() == key_id, "the key is damaged")
    text, signatures = note.rsplit("\n\n", 1)
    found = [base64.b64decode(line.split()[2]) for line in signatures.splitlines() if line.split()[1] == name]
    found = [data[4:] for data in found if data[:4].hex() == key_id]
    check(found and is_signed(key[1:], (text + "\n").encode(), found[0]), "the checkpoint is not signed by the key")
    origin, size, root = text.split("\n")[:3]
    check(origin == name, "the checkpoint is of another log")
    return origin, int(size), base64.b64decode(root)
def check_proof(index, size, leaf, proof, root):  # RFC 9162, 2.1.3.2
    check(index < size, "the entry is behind the checkpoint")
    last, node = size - 1, leaf
    for step in proof:
        check(last > 0, "the proof is too long")
        if index & 1 or index == last:
            node = sha(b"\1", step, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha(b"\1", node, step)
        index, last = index >> 1, last >> 1
    check(last == 0 and node == root, "the proof does not lead to the signed root")

def verify_receipt(text, vkey):
    head, note = text.split("\n\n", 1)
    _, extra, index, *proof = head.split("\n")
    extra = json.loads(base64.b64decode(extra.removeprefix("extra ")))
    origin, size, root = open_checkpoint(note, vkey or sys.exit("a receipt needs --vkey"))
    check_proof(int(index.removeprefix("index ")), size, sha(b"\0", extra["entry"].encode()), map(base64.b64decode, proof), root)
    record = json.dumps(extra["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    entry, commitment = json.loads(extra["entry"]), sha(b"butt-dial receipt 1\n", base64.b64decode(extra["nonce"]), record)
    check(entry["commitment"] == commitment.hex(), "the record is not the one that the entry commits to")
    return f"receipt of {entry['id']}: {entry['outcome']} at {entry['at']}, to {extra['record']['recipient']}, in {origin}"

def verify_export(text, vkey):
    head, *lines = [json.loads(line) for line in text.splitlines()]
    origin, size, root = open_checkpoint(head["checkpoint"], vkey or head["vkey"])
    check(head["first"] + len(lines) == (head["next"] or size), "entries are missing at the end of the file")
    chain = sha(b"butt-dial audit chain 1\n", origin.rsplit("/", 1)[1].encode()) if head["first"] == 0 else None
    for seq, line in enumerate(lines, head["first"]):
        try:
            leaf, text = base64.b64decode(line["leaf"]), line["entry"]
            check(line["seq"] == seq, "an entry is missing, or entries are not in order")
            check(text is None or sha(b"\0", text.encode()) == leaf, "the entry was changed")
            check(chain is None or sha(chain, leaf) == base64.b64decode(line["chain"]), "the chain breaks")
            check_proof(seq, size, leaf, map(base64.b64decode, line["proof"]), root)
            chain = base64.b64decode(line["chain"])
        except ValueError as error:
            raise ValueError(f"entry {seq} ({str(text)[:200]}): {error}")
    return f"{len(lines)} entries from {head['first']} of {size} in {origin}, signed by {vkey or head['vkey'] + ' (not pinned)'}"

if __name__ == "__main__":
    key = sys.argv.index("--vkey") if "--vkey" in sys.argv else len(sys.argv)
    vkey = sys.argv[key + 1] if key < len(sys.argv) else None
    for file in sys.argv[1:key] + sys.argv[key + 2 :]:
        try:
            text = open(file, encoding="utf-8", newline="").read()
            print("OK", file, (verify_receipt if text.startswith("c2sp.org/") else verify_export)(text, vkey))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            sys.exit(f"BROKEN {file}: {error}")
