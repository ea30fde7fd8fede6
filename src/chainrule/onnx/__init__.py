"""Models as ONNX files, for other runtimes: `chainrule.onnx.export(model, x, "model.onnx")`.

What is exported is the recorded program of the forward pass, op by op (see README.md).  Needs the
package onnx: pip install 'chainrule[onnx]'.
"""

from .document import NEWEST as NEWEST
from .document import OLDEST as OLDEST
from .document import OPSET as OPSET
from .document import export as export
from .table import export_table as export_table
