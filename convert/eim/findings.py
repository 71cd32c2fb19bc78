"""Findings of `eim inspect` and `eim compare`: rules EI600 to EI649."""

from __future__ import annotations

from convert.findings import Level, Rule

WEB_PAGE = Rule(
    "EI600",
    Level.ERROR,
    "the file is a web page, not a model",
    why="A browser or `curl` saved an error or sign-in page under the model's name. Clients then say 'Exec format "
    "error', or a shell tries to run it.",
    fix="download it again while signed in, or with `edge-impulse-linux-runner --download FILE.eim`",
)
WRONG_KIND = Rule(
    "EI601",
    Level.ERROR,
    "the file is no .eim executable",
    why="An .eim is an executable for one kind of machine; this file is something else.",
    fix="in Studio choose Deployment, 'Linux (...)' with the target's processor, or download it with "
    "`edge-impulse-linux-runner --download FILE.eim`",
)
NOT_EXECUTABLE = Rule(
    "EI602",
    Level.ERROR,
    "the file may not be executed",
    why="The Python client refuses it; the Node.js client dies of it.",
    fix="chmod +x FILE; and mind that a file system mounted noexec stays so",
)
OTHER_MACHINE = Rule(
    "EI603",
    Level.ERROR,
    "the file is made for another kind of machine",
    why="The kernel refuses it: 'Exec format error' from the Python client, 'Failed to start runner (code: 127)' from "
    "the Node.js one.",
    fix="download the model again for this machine",
)
USERLAND = Rule(
    "EI604",
    Level.ERROR,
    "a 64-bit model on a 32-bit system",
    why="The processor and the kernel could run it (`uname -m` says aarch64), but the programs and libraries "
    "installed are 32-bit, so its loader is missing.",
    fix="install the 64-bit system, or download the 32-bit model (armv7)",
)
NO_LOADER = Rule(
    "EI605",
    Level.ERROR,
    "the program that loads it is not installed",
    why="The file names its loader (PT_INTERP); without it the kernel says 'No such file or directory' about the model "
    "itself. On Alpine and other musl systems glibc's loader is missing.",
    fix="run it on a glibc system such as Debian or Ubuntu, or in such a container",
)
NO_LIBRARY = Rule(
    "EI606",
    Level.ERROR,
    "a library it needs is not installed",
    why="The loader ends it with status 127 before it listens; the Python client then waits for ever.",
    fix="install the library, or set LD_LIBRARY_PATH to where it is",
)
GLIBC_TOO_OLD = Rule(
    "EI607",
    Level.ERROR,
    "it was built for a newer C library",
    why="The loader ends it: 'version GLIBC_x not found'.",
    fix="upgrade the system, or run the model in a container of a newer one",
)
NEEDS_HARDWARE = Rule(
    "EI608",
    Level.NOTE,
    "it is made for an accelerator",
    why="The header is that of any other executable for the processor; only the libraries it needs differ. Without the "
    "vendor's driver it does not start.",
    fix="on a machine without that accelerator use the model for the plain processor",
)
DAMAGED = Rule(
    "EI609",
    Level.ERROR,
    "the executable is damaged",
    why="It begins like one, but its parts cannot be read: a download was cut short.",
    fix="download it again and compare the sizes",
)
NOT_THIS_SYSTEM = Rule(
    "EI610",
    Level.ERROR,
    "the executable is for another operating system",
    why="A macOS executable does not run on Linux, nor the other way round.",
    fix="download the model for this system",
)
BAD_HELLO = Rule(
    "EI620",
    Level.ERROR,
    "the hello answer lacks what official clients read",
    why="The clients fail or hang on it.",
    fix="download or pack the model again",
)
BRACE_IN_LABEL = Rule(
    "EI621",
    Level.WARNING,
    "a label holds a brace that is sent as it is",
    why="The Python and Node.js clients count braces without looking at strings: they fail or wait for ever.",
    fix="rename the label in Studio",
)
NO_MEMORY = Rule(
    "EI622",
    Level.WARNING,
    "the shared memory it names does not exist",
    why="The Node.js client crashes with a segmentation fault when it opens it.",
    fix="run client and model in the same container, or share /dev/shm between the two",
)
OTHER_LABELS = Rule(
    "EI630",
    Level.ERROR,
    "the two models have other labels",
    why="They are not the same model, or another version of it.",
    fix="convert the export the .eim was built from; compare the deploy versions",
)
OTHER_RESIZE = Rule(
    "EI631",
    Level.WARNING,
    "the two models expect pictures to be resized in other ways",
    why="Clients of the .eim resize pictures as it says; on the device the bundle's config decides. Here both got the "
    "same pixels.",
    fix="convert again with --resize-mode as the .eim has it",
)
SCORE_DIFFERS = Rule(
    "EI632",
    Level.ERROR,
    "a score differs by more than the tolerance",
    why="The bundle does not compute what the .eim computes.",
    fix="if the .eim holds the int8 model, its rounding alone can make 0.15: allow for it with --tolerance, or "
    "download the float32 one; otherwise check --image-scaling of the conversion",
)
FIRST_DIFFERS = Rule(
    "EI633",
    Level.ERROR,
    "another label comes first",
    why="An application that acts on the best label acts differently.",
    fix="see EI632",
)
BOX_DIFFERS = Rule(
    "EI634",
    Level.ERROR,
    "a box is missing, is too many, or lies elsewhere",
    why="The bundle does not find what the .eim finds.",
    fix="see EI632; for boxes that move by a pixel or two allow --pixels 2",
)
BORDERLINE = Rule(
    "EI635",
    Level.NOTE,
    "a box or cell is found by one of the two only, with a score at the threshold",
    why="Its score differs by less than the tolerance, but the threshold lies between the two. One cell more or less "
    "also changes the size of the box that it is merged into.",
    fix="nothing needs doing",
)
SDK_MERGE = Rule(
    "EI636",
    Level.NOTE,
    "boxes differ only by how the .eim merges cells",
    why="Edge Impulse's SDK shrinks a box that grows to the left or upwards, and drops one that comes to touch an "
    "earlier one late; the bundle's boxes hold all their cells. With the SDK's slips the two agree.",
    fix="nothing needs doing",
)
ROUNDING = Rule(
    "EI637",
    Level.NOTE,
    "the model is int8, and its answers depend on who computes them",
    why="Each layer rounds to one of 256 values, and two right implementations now and then round to neighbours: an "
    ".eim with TensorFlow Lite for Microcontrollers computes as LiteRT's reference kernels, one with the full "
    "TensorFlow Lite as its XNNPACK kernels. A bundle computes in float32; report.json has how far that is from the "
    "original.",
    fix="compare with the .tflite to see that the .eim holds the model; allow for the rest with --tolerance",
)
NO_THRESHOLD = Rule(
    "EI638",
    Level.NOTE,
    "the .eim does not say its detection threshold",
    why="Executables say it since 2025. Another one gives other boxes.",
    fix="download the model again, or compare with a bundle of the same threshold (convert --threshold)",
)
NETWORK_ALONE = Rule(
    "EI639",
    Level.NOTE,
    "only the network is compared",
    why="What an .eim does with features before its network, and after it (anomaly scores), is not in a .tflite.",
    fix="compare with another .eim for the whole",
)
NO_ANSWER = Rule(
    "EI640",
    Level.ERROR,
    "an input has no answer",
    why="It cannot be read, or the .eim refuses it. The others have been asked all the same.",
    fix="leave it out, or put it right as the message says",
)

RULES: tuple[Rule, ...] = (
    WEB_PAGE, WRONG_KIND, NOT_EXECUTABLE, OTHER_MACHINE, USERLAND, NO_LOADER, NO_LIBRARY, GLIBC_TOO_OLD,
    NEEDS_HARDWARE, DAMAGED, NOT_THIS_SYSTEM, BAD_HELLO, BRACE_IN_LABEL, NO_MEMORY, OTHER_LABELS, OTHER_RESIZE,
    SCORE_DIFFERS, FIRST_DIFFERS, BOX_DIFFERS, BORDERLINE, SDK_MERGE, ROUNDING,
    NO_THRESHOLD, NETWORK_ALONE, NO_ANSWER,
)  # fmt: skip
