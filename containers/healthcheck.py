"""Whether the server in this container is alive, in the words of HEALTHCHECK: exit code 0 or 1.

In Python, because the image has no curl; with `http.client`, which needs a tenth of what a client library needs to start
and asks no proxy.
"""

import http.client
import sys


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=4)
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == http.client.OK else 1
    except (OSError, http.client.HTTPException) as error:
        print(f"{type(error).__name__}: {error}")  # noqa: T201  # what an engine keeps of a probe
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
