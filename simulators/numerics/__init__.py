"""What solvers of many equations share: boundaries, steps in time and their errors, Fourier modes, random inputs."""
