"""Building blocks of hand-made ONNX graphs, and the runtime that opens them."""

from typing import Any

import numpy as np


class Graph:
    """Collects nodes and constants and names their outputs."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(
        self,
        operator: str,
        inputs: list[str],
        output: str | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node with one output.

        Args:
            operator: Name of the operator.
            inputs: Names of values; empty for an input that is left out.
            output: Name of the result; None: a new one.
            domain: The operator's domain.
            **attributes: The operator's attributes.

        Returns:
            The name of the result.
        """
        return self.nodes_of(operator, inputs, [output], domain, **attributes)[0]

    def nodes_of(
        self, operator: str, inputs: list[str], outputs: list[str | None], domain: str = "", **attributes: Any
    ) -> list[str]:
        """Append a node with any number of outputs; see :meth:`node`."""
        from onnx import helper

        names = [
            output or f"{operator.lower()}_{len(self.nodes)}" + (f"_{place}" if place else "")
            for place, output in enumerate(outputs)
        ]
        self.nodes.append(
            helper.make_node(operator, inputs, names, name=f"{names[0]}_node", domain=domain, **attributes)
        )
        return names

    def constant(self, value: np.ndarray) -> str:
        """Append a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def cast(self, value: str, kind: int) -> str:
        """Append a conversion to a type of ``onnx.TensorProto`` and return the result's name."""
        return self.node("Cast", [value], to=kind)


def open_graph(model: bytes) -> Any:
    """Open a serialised model in onnxruntime.

    Sessions get one thread: several would add up trees in an order that depends on the batch.

    Args:
        model: The serialised model.

    Returns:
        An ``InferenceSession``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
