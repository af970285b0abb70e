"""Names that no header of C may bear."""

from pac_surrogate.exports.errors import NotExportableError

# Compilers often search the folder of the header also for the headers in <>, and would read a file with one of these names in
# the place of theirs. The first group is that of the C standards up to C23, which C++ has too, and the second one is what glibc
# and the library of GCC read for them.
STANDARD_HEADERS = frozenset(
    (
        *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math", "setjmp"),
        *("signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool", "stdckdint", "stddef", "stdint", "stdio", "stdlib"),
        *("stdnoreturn", "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype"),
        *("alloca", "endian", "features", "libintl", "pthread", "sched", "strings", "syslimits", "unistd"),
    )
)


def check_name(name: str) -> None:
    """Refuse a name whose header would be read in the place of one of the C library.

    Raises:
        NotExportableError: if the C library has a header of that name, in upper or lower case.
    """
    if name.lower() in STANDARD_HEADERS:  # some file systems do not distinguish Math.h from math.h
        raise NotExportableError(
            f"{name.lower()}.h is a header of the C library, which compilers would find in its place: choose another name="
        )
