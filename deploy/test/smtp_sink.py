"""The server behind smtp.sh; see there."""

import argparse
import asyncio
import email
import email.policy
import json
import os
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Sink:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        answer = self.folder / "answer"
        said = answer.read_text().strip() if answer.exists() else ""
        if said and said != "drop":
            return said
        self.count += 1
        self.store(self.count, session, envelope)
        if said == "drop":
            # The message is taken, and nobody hears of it.
            server.transport.abort()
        return f"250 2.0.0 taken as {self.count}"

    def store(self, number: int, session, envelope) -> None:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {}
        for part in message.walk():
            if not part.is_multipart():
                parts[part.get_content_type()] = part.get_content()
        read = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "user": session.auth_data.decode() if session.auth_data else None,
            "headers": [[name, str(value)] for name, value in message.items()],
            "parts": parts,
            "defects": [str(d) for d in message.defects],
        }
        (self.folder / f"{number:06}.eml").write_bytes(envelope.content)
        # Written beside and renamed: a reader that sees it sees all of it.
        part = self.folder / f"{number:06}.part"
        part.write_text(json.dumps(read))
        os.rename(part, self.folder / f"{number:06}.json")


def authenticator(user: str, password: str):
    def check(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, auth_data=user.encode() if good else None, handled=good)

    return check


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--auth", default="")
    args = parser.parse_args()
    sink = Sink(args.folder)
    options = {"hostname": "localhost", "enable_SMTPUTF8": True}
    if args.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.folder / "server.pem", args.folder / "server.key")
        options |= {"tls_context": context, "require_starttls": True}
    if args.auth:
        user, password = args.auth.split(":", 1)
        options |= {
            "authenticator": authenticator(user, password),
            "auth_required": True,
            "auth_require_tls": args.tls,
        }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, loop=loop, **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
