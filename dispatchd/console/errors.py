"""Why the API says no: a status, a stable code and a sentence with the next step."""

from msgspec import Struct


class Problem(Struct, frozen=True, omit_defaults=True):
    """The body of every answer from 400 up. `field` is the path of the field that is wrong ($ = the whole
    body)."""

    code: str
    why: str
    field: str = ""


class ApiError(Exception):
    """Answered as `status` with a Problem; `retry_after_s` becomes a header."""

    def __init__(
        self, status: int, code: str, why: str, *, field: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(why)
        self.status = status
        self.problem = Problem(code, why, field)
        self.retry_after_s = retry_after_s


def not_found(what: str, id_: str, field: str = "") -> ApiError:
    """The same for what does not exist and what the operator may not know of."""
    return ApiError(
        404, "not-found", f"There is no {what} {id_!r} that you can see. Check the id.", field=field
    )


STARTING = ApiError(503, "starting", "The daemon is starting. Try again in a second.", retry_after_s=1)
