"""How the cost of a call grows: points, the limits of the machine, fits, and what they predict."""
