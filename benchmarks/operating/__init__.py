"""What the operators of one call cost, with this project and with OpenVINO."""
