"""The file layer: written whole or not at all, read with every byte checked, never unpickled."""

from .tensors import load as load
from .tensors import load_metadata as load_metadata
from .tensors import load_tensors as load_tensors
from .tensors import save as save
from .tensors import save_tensors as save_tensors
from .text import NOT_FINITE as NOT_FINITE
from .text import parse_json as parse_json
from .text import read_json as read_json
from .text import read_json_lines as read_json_lines
from .text import to_json as to_json
from .text import worded as worded
from .text import write_json as write_json
from .writing import InputError as InputError
from .writing import MissingFileError as MissingFileError
from .writing import append_line as append_line
from .writing import check_writable as check_writable
from .writing import file_sha256 as file_sha256
from .writing import names_in as names_in
from .writing import open_file as open_file
from .writing import remove_file as remove_file
from .writing import sweep as sweep
from .writing import write_bytes as write_bytes
from .writing import write_folder as write_folder
from .writing import write_parts as write_parts
from .writing import write_text as write_text
